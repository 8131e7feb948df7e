"""Checks without Blender of formats besides glTF: sound files pass, cut or strange ones are refused in a sentence."""

import struct
from pathlib import Path

import numpy as np
import pytest
import trimesh

from base.outcomes import Outcome
from render.formats.refused import Refused
from tests.render.found import companions

PLY = b"ply\nformat %s 1.0\ncomment x\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
FACES = b"element face %d\nproperty list uchar int vertex_indices\nend_header\n"
POINTS = struct.pack("<9f", *range(9))
OBJ = b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"


def box(kind: str) -> bytes:
    """A small box as written by another program."""
    data = trimesh.creation.box().export(file_type=kind)
    return data.encode() if isinstance(data, str) else bytes(data)


SOUND = {
    "obj": box("obj"),
    "stl": box("stl"),
    "ascii.stl": box("stl_ascii"),
    "ply": box("ply"),
    "ascii.ply": trimesh.creation.box().export(file_type="ply", encoding="ascii"),
}


def refusal(path: Path, data: bytes) -> Refused:
    path.write_bytes(data)
    with pytest.raises(Refused) as caught:
        companions(path)
    assert str(caught.value).startswith("expected")
    return caught.value


def answer(path: Path) -> str:
    try:
        return f"expected files: {companions(path)}"
    except Refused as refused:
        return str(refused)


@pytest.mark.parametrize("name", SOUND)
def test_mutations_pass_or_are_refused(tmp_path: Path, name: str) -> None:
    """Whatever is cut, flipped or overwritten, a check answers: no exception but its own, and no long search."""
    path = tmp_path / f"x.{name}"
    path.write_bytes(SOUND[name])
    assert companions(path) == []
    rng = np.random.default_rng(7)
    for _ in range(60):
        data = np.frombuffer(SOUND[name], np.uint8).copy()
        places = rng.integers(0, len(data), 1 + rng.integers(8))
        data[places] = rng.integers(0, 256, len(places))
        path.write_bytes(data[: rng.integers(len(data)) if rng.random() < 0.5 else None].tobytes())
        assert answer(path).startswith("expected")


@pytest.mark.parametrize("name", sorted(SOUND.keys() - {"obj"}))
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.95])
def test_a_truncated_file_is_corrupt(tmp_path: Path, name: str, share: float) -> None:
    data = SOUND[name]
    assert refusal(tmp_path / f"x.{name}", data[: int(len(data) * share)]).outcome is Outcome.CORRUPT


@pytest.mark.parametrize("suffix", ["obj", "ply", "stl"])
@pytest.mark.parametrize("data", [b"", b"<!DOCTYPE html><html>", b"PK\3\4" + bytes(90), b"solid nothing\n"])
def test_what_is_something_else_is_corrupt(tmp_path: Path, suffix: str, data: bytes) -> None:
    assert refusal(tmp_path / f"x.{suffix}", data).outcome is Outcome.CORRUPT


@pytest.mark.parametrize(
    ("head", "body", "words"),
    [
        (PLY % b"binary_little_endian" + FACES % 2, POINTS + b"\3" + bytes(12), "expected 2 face rows"),
        (PLY % b"binary_little_endian" + FACES % 2, POINTS + b"\3" + bytes(12) + b"\4" + bytes(15), "2 face rows"),
        (PLY % b"binary_big_endian" + FACES % 0, POINTS[:-1], "for the vertex rows"),
        (PLY % b"ascii" + FACES % 1, b"0 0 0\n" * 3, "expected 4 lines"),
        (PLY % b"binary_little_endian" + FACES % (1 << 40), POINTS, "for the face rows"),
        (PLY % b"morse" + FACES % 1, b"", "expected a PLY format"),
        (b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n", b"0\n", "x, y and z"),
        (b"ply\nformat ascii 1.0\nelement vertex many\nend_header\n", b"0\n", "a line of a PLY header"),
    ],
)
def test_a_ply_that_promises_more_than_it_holds_is_corrupt(
    tmp_path: Path, head: bytes, body: bytes, words: str
) -> None:
    assert words in str(refusal(tmp_path / "x.ply", head + body))


def test_a_ply_with_faces_of_unequal_length_passes(tmp_path: Path) -> None:
    body = POINTS + b"\3" + bytes(12) + b"\4" + bytes(16)
    (tmp_path / "x.ply").write_bytes(PLY % b"binary_little_endian" + FACES % 2 + body)
    assert companions(tmp_path / "x.ply") == []


def test_an_obj_names_its_materials_and_their_pictures(tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    for name in ("maps/a wood.png", "maps/b.png", "c.png", "maps/secret.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "m.mtl").write_text(
        "newmtl a\nmap_Kd -s 2 2.5e0 1 -clamp on maps\\a wood.png\nbump -bm 0.5 maps/b.png\nmap_d C:\\work\\c.png\n"
        "map_Ks gone.png\n# map_Kd maps/secret.png\n"
    )
    (tmp_path / "x.obj").write_bytes(b"mtllib m.mtl\nmtllib gone.mtl\n" + OBJ)
    assert companions(tmp_path / "x.obj") == ["c.png", "m.mtl", "maps/a wood.png", "maps/b.png"]


@pytest.mark.parametrize("name", ["../m.mtl", "/etc/hostname", "a/../../m.mtl", "http://127.0.0.1:9/m.mtl", "link.mtl"])
@pytest.mark.parametrize("where", ["obj", "mtl"])
def test_an_obj_that_leaves_its_folder_is_refused(tmp_path: Path, name: str, where: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "m.mtl").write_bytes(b"")
    (folder / "link.mtl").symlink_to(tmp_path / "m.mtl")
    (folder / "own.mtl").write_text(f"newmtl a\nmap_Kd {name}\n")
    library = name if where == "obj" else "own.mtl"
    refused = refusal(folder / "x.obj", f"mtllib {library}\n".encode() + OBJ)
    assert refused.outcome is Outcome.UNSUPPORTED
    assert "beside the model" in str(refused)


def test_a_model_too_large_to_copy_is_refused_by_name(tmp_path: Path) -> None:
    with (tmp_path / "m.mtl").open("wb") as stream:
        stream.write(b"newmtl a\nmap_Kd big.png\n")
    with (tmp_path / "big.png").open("wb") as stream:
        stream.truncate(3 << 30)  # sparse
    assert refusal(tmp_path / "x.obj", b"mtllib m.mtl\n" + OBJ).outcome is Outcome.TOO_LARGE
