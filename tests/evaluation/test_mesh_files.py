"""Meshes from files: every format of the same box, and files of strangers."""

import io
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import trimesh

from base.errors import Failure
from evaluation.mesh_files import ply_bytes, read_mesh
from evaluation.shapes.triangles import Triangles
from shards.arrays import npy_bytes
from tests.evaluation.shapes.solids import box_mesh

BOX = box_mesh((0.1, 0.2, 0.3), (0.5, 0.6, 0.7))


def corners(mesh: Triangles) -> np.ndarray:
    return np.array(sorted(mesh.corners.reshape(-1, 9).round(6).tolist()))


@pytest.mark.parametrize("kind", ["glb", "ply", "obj", "ascii.ply", "own.ply", "npz"])
def test_each_format_gives_the_same_triangles(tmp_path: Path, kind: str) -> None:
    path, shape = tmp_path / f"box.{kind}", trimesh.Trimesh(BOX.vertices, BOX.faces, process=False)
    if kind == "npz":
        np.savez(path, vertices=BOX.vertices, faces=BOX.faces)
    elif kind == "own.ply":
        path.write_bytes(ply_bytes(BOX))
    elif kind == "ascii.ply":
        path.write_bytes(trimesh.exchange.ply.export_ply(shape, encoding="ascii"))
    else:
        shape.export(path)
    expected = BOX.transformed(np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])) if kind == "glb" else BOX
    assert np.allclose(corners(read_mesh(path)), corners(expected), atol=1e-6)


def test_up_turns_all_but_glb(tmp_path: Path) -> None:
    (tmp_path / "a.ply").write_bytes(ply_bytes(BOX))
    assert read_mesh(tmp_path / "a.ply", "y").vertices[0] == pytest.approx(BOX.vertices[0][[0, 2, 1]] * [1, -1, 1])


def test_nodes_move_and_mirror(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    matrix = np.diag([-2.0, 1, 1, 1])
    matrix[:3, 3] = [1, 2, 3]
    scene.add_geometry(trimesh.Trimesh(BOX.vertices, BOX.faces, process=False), transform=matrix)
    (tmp_path / "a.glb").write_bytes(scene.export(file_type="glb"))
    mesh = read_mesh(tmp_path / "a.glb")
    low, high = mesh.box
    assert np.stack([low, high]) == pytest.approx(np.array([[-0.2, -4.0, 2.4], [0.2, -3.4, 2.8]]))
    assert np.linalg.det(mesh.corners).sum() / 6 == pytest.approx(0.2 * 2 * 0.4 * 0.6)


def test_polygons_and_negative_indices_of_obj(tmp_path: Path) -> None:
    path = tmp_path / "a.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf -4/1 -3/2/1 -2//3 -1\nl 1 2\n")
    assert read_mesh(path).faces.tolist() == [[0, 1, 2], [0, 2, 3]]


def glb(tree: dict, binary: bytes = b"") -> bytes:
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(binary), 0x004E4942) + binary
    return b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks


def npy_header(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return stream.getvalue()


def npz(vertices: bytes, flags: int = 0) -> bytes:
    """An archive whose array `vertices` has these bytes, its members marked with `flags`."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("vertices.npy", vertices)
        archive.writestr("faces.npy", npy_bytes(np.array([[0, 1, 2]])))
    data = bytearray(stream.getvalue())
    for mark, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = data.find(mark)
        while flags and at >= 0:
            data[at + offset] |= flags
            at = data.find(mark, at + 1)
    return bytes(data)


LOOP = {"nodes": [{"children": [0]}], "scenes": [{"nodes": [0]}]}
ELSEWHERE = {
    "nodes": [{"mesh": 0}],
    "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
    "accessors": [{"bufferView": 0, "componentType": 5126, "type": "VEC3", "count": 3}],
    "bufferViews": [{"buffer": 0, "byteLength": 36}],
    "buffers": [{"uri": "../../etc/passwd", "byteLength": 36}],
}
BEYOND = {**ELSEWHERE, "buffers": [{"byteLength": 36}]}
POINTS_PLY = (
    b"ply\nformat ascii 1.0\nelement vertex 1\n"
    b"property float x\nproperty float y\nproperty float z\nend_header\n0 0 0\n"
)
BAD = {
    "empty.glb": (b"", "binary glTF"),
    "loop.glb": (glb(LOOP), "at most 100,000 nodes"),
    "elsewhere.glb": (glb(ELSEWHERE, bytes(36)), "inside the file"),
    "beyond.glb": (glb(BEYOND, bytes(8)), "accessor 0 inside"),
    "draco.glb": (glb({"extensionsRequired": ["KHR_draco_mesh_compression"]}), "KHR_draco"),
    "nothing.glb": (glb({"nodes": [], "scenes": [{"nodes": []}]}), "no face"),
    "points.ply": (POINTS_PLY, "no face"),
    "cut.ply": (ply_bytes(BOX)[:-5], "whole mesh"),
    "many.ply": (POINTS_PLY.replace(b"vertex 1", b"vertex 99999999999"), "at most"),
    "promised.ply": (POINTS_PLY.replace(b"vertex 1", b"vertex 40000000"), "40,000,000 lines"),
    "nan.obj": (b"v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "finite"),
    "beyond.obj": (b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", "faces over vertices 0 to 2"),
    "words.obj": (b"v a b c\n", "whole mesh"),
    "text.npz": (b"PK\x03\x04 no archive", "whole mesh"),
    "header.npz": (npz(b"\x93NUMPY\x01\x00\x10\x00{'shape': (3, 3,  \n"), "whole mesh"),
    "huge.npz": (npz(npy_header((10**15, 3))), "whole mesh"),
    "encrypted.npz": (npz(b"", flags=1), "whole mesh"),
    "chair.stl": (b"solid", "expected a mesh as"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_meshes_are_named_in_a_sentence(tmp_path: Path, name: str) -> None:
    data, sentence = BAD[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(Failure) as error:
        read_mesh(tmp_path / name)
    assert sentence in str(error.value)
    assert str(tmp_path / name) in str(error.value)
    assert "\n" not in str(error.value)


def test_pickled_arrays_and_too_many_faces_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "a.npz", vertices=np.array([{}], object), faces=np.zeros((1, 3)))
    with pytest.raises(Failure, match="whole mesh"):
        read_mesh(tmp_path / "a.npz")
    monkeypatch.setattr("evaluation.mesh_files.MAX_FACES", 11)
    (tmp_path / "box.ply").write_bytes(ply_bytes(BOX))
    with pytest.raises(Failure, match="at most 11 faces, got 12"):
        read_mesh(tmp_path / "box.ply")
