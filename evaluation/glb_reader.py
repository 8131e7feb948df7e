"""The triangles of a binary glTF (glTF 2.0): all meshes of its scene, with the transforms of their nodes.

Textures, materials, skins and animations are not read. A buffer or image elsewhere is never opened.
"""

import json
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.shapes.triangles import Triangles

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

JSON_CHUNK, BINARY_CHUNK = 0x4E4F534A, 0x004E4942
KINDS = {5121: "<u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC3": 3}
TRIANGLES, STRIP, FAN = 4, 5, 6
REFUSED = ("KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_mesh_quantization")
MAX_NODES, MAX_VERTICES = 100_000, 20_000_000


def glb_triangles(data: bytes) -> Triangles:
    """Read all triangles of the default scene, y up as in the file. Raises ValueError for an unreadable file."""
    tree, binary = _chunks(data)
    refused = [name for name in REFUSED if name in tree.get("extensionsRequired", [])]
    if refused:
        raise ValueError(f"expected plain vertices, got the extension {refused[0]}")
    scenes = tree.get("scenes", [])
    # Without a scene, glTF leaves open what to show; here it is every node.
    roots = scenes[tree.get("scene", 0)]["nodes"] if scenes else range(len(tree.get("nodes", [])))
    parts = _parts(tree, binary, [int(root) for root in roots])
    vertices = np.concatenate([part.vertices for part in parts] or [np.zeros((0, 3))])
    starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
    # Each part counts its vertices from 0.
    faces = [part.faces + start for part, start in zip(parts, starts[:-1], strict=True)]
    return Triangles(vertices, np.concatenate(faces or [np.zeros((0, 3), np.int64)]))


def _chunks(data: bytes) -> tuple[dict[str, Any], bytes]:
    if len(data) < 20 or data[:4] != b"glTF":
        raise ValueError("expected a binary glTF")
    version, _, length, kind = struct.unpack("<IIII", data[4:20])
    if version != 2 or kind != JSON_CHUNK:
        raise ValueError(f"expected glTF 2.0, got version {version}")
    tree = json.loads(data[20 : 20 + length])
    rest = data[20 + length :]
    binary = b""
    if len(rest) >= 8 and struct.unpack("<II", rest[:8])[1] == BINARY_CHUNK:
        binary = rest[8 : 8 + struct.unpack("<I", rest[:4])[0]]
    return tree, binary


def _parts(tree: dict[str, Any], binary: bytes, roots: list[int]) -> list[Triangles]:
    """Return the primitives below some nodes, in the world. A node may be a child of several others."""
    waiting, parts = [(root, np.eye(4)) for root in reversed(roots)], list[Triangles]()
    visits, vertices = 0, 0
    while waiting:
        number, above = waiting.pop()
        visits += 1
        node = tree["nodes"][number]
        matrix = above @ _node_matrix(node)
        # Reversed, so that the stack yields children in the order of the file.
        waiting += [(int(child), matrix) for child in reversed(node.get("children", []))]
        for primitive in tree["meshes"][node["mesh"]]["primitives"] if "mesh" in node else ():
            parts.append(_moved(_primitive(tree, binary, primitive), matrix))
            vertices += len(parts[-1].vertices)
        # A loop, or a node shared again and again, would never end.
        if visits > MAX_NODES or vertices > MAX_VERTICES:
            raise ValueError(f"expected at most {MAX_NODES:,} nodes and {MAX_VERTICES:,} vertices")
    return parts


def _moved(part: Triangles, matrix: Floats) -> Triangles:
    moved = part.transformed(matrix[:3, :3], matrix[:3, 3])
    flips = np.linalg.det(matrix[:3, :3]) < 0.0  # a mirror turns faces inside out
    return Triangles(moved.vertices, moved.faces[:, ::-1] if flips else moved.faces)


def _node_matrix(node: dict[str, Any]) -> Floats:
    if "matrix" in node:
        # glTF stores matrices column by column.
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    x, y, z, w = (float(value) for value in node.get("rotation", (0.0, 0.0, 0.0, 1.0)))
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix = np.eye(4)
    # Scaled by columns: glTF scales first and turns then.
    matrix[:3, :3] = turn * np.array(node.get("scale", (1.0, 1.0, 1.0)), np.float64)
    matrix[:3, 3] = node.get("translation", (0.0, 0.0, 0.0))
    return matrix


def _primitive(tree: dict[str, Any], binary: bytes, primitive: dict[str, Any]) -> Triangles:
    mode = primitive.get("mode", TRIANGLES)
    if mode not in (TRIANGLES, STRIP, FAN):
        return Triangles(np.zeros((0, 3)), np.zeros((0, 3), np.int64))  # points and lines have no surface
    vertices = _accessor(tree, binary, primitive["attributes"]["POSITION"]).astype(np.float64)
    if "indices" in primitive:
        index = _accessor(tree, binary, primitive["indices"]).astype(np.int64).reshape(-1)
    else:
        index = np.arange(len(vertices))
    return Triangles(vertices, _faces(index, mode))


def _faces(index: Ints, mode: int) -> Ints:
    if mode == TRIANGLES:
        # Left-over indices make no triangle.
        return np.asarray(index[: len(index) // 3 * 3].reshape(-1, 3))
    if mode == FAN:
        return np.asarray(np.stack([np.full(len(index) - 2, index[0]), index[1:-1], index[2:]], axis=1), np.int64)
    faces = np.stack([index[:-2], index[1:-1], index[2:]], axis=1)
    faces[1::2] = faces[1::2, [1, 0, 2]]  # every other triangle of a strip runs the other way
    return np.asarray(faces, np.int64)


def _accessor(tree: dict[str, Any], binary: bytes, number: int) -> np.ndarray:
    accessor = tree["accessors"][number]
    if "sparse" in accessor or "bufferView" not in accessor:
        raise ValueError("expected plain accessors, got a sparse accessor")
    view = tree["bufferViews"][accessor["bufferView"]]
    if view.get("buffer", 0) != 0 or "uri" in tree["buffers"][0]:
        raise ValueError("expected all data inside the file, got a buffer elsewhere")
    kind, width, count = np.dtype(KINDS[accessor["componentType"]]), WIDTHS[accessor["type"]], int(accessor["count"])
    start = int(view.get("byteOffset", 0)) + int(accessor.get("byteOffset", 0))
    stride = int(view.get("byteStride") or kind.itemsize * width)
    # The last item ends with its own bytes, not with a whole stride.
    end = start + stride * (count - 1) + kind.itemsize * width
    if count < 1 or start < 0 or stride < kind.itemsize * width or end > len(binary):
        raise ValueError(f"expected accessor {number} inside its {len(binary)} bytes")
    # A view into the bytes; the checks above keep it inside them.
    return np.ndarray((count, width), kind, binary, start, (stride, kind.itemsize))
