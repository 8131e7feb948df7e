"""Formats are known by their bytes; what surrounds a model is ignored with a warning."""

import json
from pathlib import Path

import pytest
import trimesh

from base.outcomes import Outcome
from render.formats.model_files import ModelFiles, Slice
from render.formats.refused import Refused
from render.formats.registry import model_files
from render.formats.sniff import format_of
from render.staging import stage_model
from tests.render.conftest import EXAMPLES
from tests.render.formats.test_formats import ASSET, triangles
from tests.render.models import write_marker_object

STOOL = EXAMPLES / "stool.glb"


@pytest.mark.parametrize("suffix", ["glb", "obj", "ply", "stl"])
@pytest.mark.parametrize("name", ["8f3a", "model.bin", "model.{}"])
def test_a_model_is_known_under_any_name(tmp_path: Path, suffix: str, name: str) -> None:
    data = write_marker_object(tmp_path / f"x.{suffix}").read_bytes()
    (tmp_path / name.format(suffix)).write_bytes(data)
    assert format_of(tmp_path / name.format(suffix)) == f".{suffix}"


@pytest.mark.parametrize(
    ("name", "head", "expected"),
    [
        ("x.gltf", b"glTF\2\0\0\0", ".glb"),
        ("x.glb", b'\xef\xbb\xbf {"asset": {}}', ".gltf"),
        ("x", '{"scenes": []}'.encode("utf-16"), ".gltf"),
        ("x.obj", b"Kaydara FBX Binary  \0\x1a\0", ".fbx"),
        ("x.usda", b"PXR-USDC", ".usda"),
        ("x.usdz", b"#usda 1.0", ".usda"),
        ("x.glb", b"PK\3\4" + bytes(22) + b"\6\0\0\0a.usda", ".usdz"),
        ("x.blend", b"\x1f\x8b", ".blend"),
        ("x.html", b"<html>", ".html"),
        ("x", b"", ""),
    ],
)
def test_first_bytes_count_more_than_a_name(tmp_path: Path, name: str, head: bytes, expected: str) -> None:
    (tmp_path / name).write_bytes(head)
    assert format_of(tmp_path / name) == expected


def staged(tmp_path: Path, path: Path) -> tuple[ModelFiles, Path]:
    found = model_files(path)
    return found, stage_model(path, found, tmp_path / "copy")


@pytest.mark.parametrize("after", [bytes(8), b"<!-- served -->"])
def test_bytes_after_a_binary_gltf_are_left_out_of_the_copy(tmp_path: Path, after: bytes) -> None:
    (tmp_path / "x.glb").write_bytes(STOOL.read_bytes() + after)
    found, copy = staged(tmp_path, tmp_path / "x.glb")
    assert found.warnings == (f"{len(after)} bytes after the end of the model are ignored",)
    size, whole = copy.stat().st_size, trimesh.load(STOOL, force="mesh")
    assert int.from_bytes(copy.read_bytes()[8:12], "little") == size
    assert len(trimesh.load(copy, force="mesh").faces) == len(whole.faces)


@pytest.mark.parametrize(
    ("before", "after", "warning"),
    [(b"\xef\xbb\xbf", b"", "byte order mark"), (b"", b"\0\0\0", "zeros after"), (b"", b"\n\n", "")],
)
def test_json_copy_omits_marks_and_zeros(tmp_path: Path, before: bytes, after: bytes, warning: str) -> None:
    (tmp_path / "x.gltf").write_bytes(before + json.dumps(ASSET).encode() + after)
    found, copy = staged(tmp_path, tmp_path / "x.gltf")
    assert warning in "".join(found.warnings)
    assert bool(warning) == bool(found.warnings)
    assert json.loads(copy.read_bytes()) == ASSET


def test_obj_and_stl_copies_omit_marks_and_zeros(tmp_path: Path) -> None:
    text = b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"
    (tmp_path / "x.obj").write_bytes(b"\xef\xbb\xbf" + text + bytes(9))
    found, copy = staged(tmp_path, tmp_path / "x.obj")
    assert (len(found.warnings), copy.read_bytes()) == (2, text)
    box = trimesh.creation.box().export(file_type="stl")
    (tmp_path / "x.stl").write_bytes(box + b"more")
    found = model_files(tmp_path / "x.stl")
    assert found.content == [Slice(tmp_path / "x.stl", 0, len(box))]


def test_names_in_a_gltf_become_those_of_the_files_found(tmp_path: Path) -> None:
    (tmp_path / "Data").mkdir()
    (tmp_path / "Data" / "100%.bin").write_bytes(bytes(60))
    (tmp_path / "x.gltf").write_text(json.dumps(triangles(4, "data\\100%.bin")))
    found, copy = staged(tmp_path, tmp_path / "x.gltf")
    assert list(found.files) == ["Data/100%.bin"]
    assert json.loads(copy.read_bytes())["buffers"][0]["uri"] == "Data/100%25.bin"
    assert (copy.parent / "Data" / "100%.bin").read_bytes() == bytes(60)


def test_a_copy_keeps_files_above_the_model_inside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "tex.png").write_bytes(b"x")
    files = ModelFiles(suffix=".obj", files={"../../a/tex.png": tmp_path / "tex.png", "b.png": tmp_path / "tex.png"})
    copy = stage_model(STOOL, files, tmp_path / "copy")
    assert (copy.parent / "../../a/tex.png").resolve() == tmp_path / "copy" / "a" / "tex.png"
    assert sorted(path.name for path in (tmp_path / "copy").rglob("*.*")) == ["b.png", "model.obj", "tex.png"]


def test_unknown_compression_is_unsupported(tmp_path: Path) -> None:
    document = triangles(4, None)
    document["buffers"][0]["extensions"] = {"EXT_meshopt_compression": {"fallback": True}}
    (tmp_path / "x.gltf").write_text(json.dumps(document))
    with pytest.raises(Refused, match="compressed by EXT_meshopt_compression") as caught:
        model_files(tmp_path / "x.gltf")
    assert caught.value.outcome is Outcome.UNSUPPORTED
