"""Triangles from strangers' files: GLB, OBJ, PLY and this project's NPZ. Nothing but the file itself is read."""

import io
import itertools
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from base.errors import Failure
from base.storage import reason
from evaluation.glb_reader import glb_triangles
from evaluation.ply_reader import ply_triangles
from evaluation.shapes.triangles import Triangles, check_triangles
from shards.arrays import UNREADABLE

MAX_BYTES = 512 << 20
MAX_FACES = 5_000_000
SUFFIXES = (".glb", ".ply", ".obj", ".npz")
BROKEN = (RuntimeError, zlib.error, zipfile.BadZipFile)
"""What zipfile raises for damaged, encrypted and unknown members, beside ValueError."""
Z_UP_FROM_Y_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])


def read_mesh(path: Path, up: str = "z") -> Triangles:
    """Read the triangles of a file with the up axis `up` (`y` or `z`) as z up. A GLB is y up whatever `up` says.

    Raises Failure, in a sentence, for a missing or damaged file, more than 5 million faces, or a mesh of nothing.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise Failure(f"{path}: expected a mesh as {', '.join(SUFFIXES)}, got {path.suffix or 'no suffix'}")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Failure(f"{path}: expected at most {MAX_BYTES >> 20} MiB, got {path.stat().st_size >> 20} MiB")
        mesh = reader(path.read_bytes())
        if len(mesh.faces) > MAX_FACES:
            raise Failure(f"{path}: expected at most {MAX_FACES:,} faces, got {len(mesh.faces):,}")
        checked = check_triangles(mesh, str(path))
    except OSError as error:
        raise Failure(f"{path}: expected a mesh, got: {reason(error)}") from None
    except (*UNREADABLE, *BROKEN, KeyError, IndexError, TypeError, RecursionError, MemoryError) as error:
        # `check_triangles` names the file already.
        sentence = str(error) if str(error).startswith(str(path)) else f"{path}: expected a whole mesh, got: {error!r}"
        raise Failure(sentence) from None
    turned = up == "y" or path.suffix.lower() == ".glb"
    return checked.transformed(Z_UP_FROM_Y_UP) if turned else checked


def find_mesh(stem: Path) -> Path | None:
    """Return the file `stem` with a mesh's suffix, the first of SUFFIXES, or None."""
    return find_file(stem, SUFFIXES)


def find_file(stem: Path, suffixes: tuple[str, ...]) -> Path | None:
    """Return the file `stem` with the first of `suffixes` that exists, or None."""
    return next((path for suffix in suffixes if (path := stem.with_name(f"{stem.name}{suffix}")).is_file()), None)


def ply_bytes(mesh: Triangles) -> bytes:
    """Encode a mesh as a binary PLY with float64 vertices."""
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(mesh.vertices)}\n"
        "property double x\nproperty double y\nproperty double z\n"
        f"element face {len(mesh.faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    faces = np.zeros(len(mesh.faces), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, mesh.faces
    return header.encode() + mesh.vertices.astype("<f8").tobytes() + faces.tobytes()


def _obj_triangles(data: bytes) -> Triangles:
    """Read `v` and `f` lines. A polygon becomes a fan; negative indices count from the last vertex."""
    vertices: list[list[float]] = []
    faces: list[tuple[int, int, int]] = []
    for line in data.decode("utf-8", "replace").splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "v":
            vertices.append([float(word) for word in words[1:4]])
        elif words[0] == "f":
            # A corner is `vertex/texture/normal`; only the first counts here.
            corners = [int(word.partition("/")[0]) for word in words[1:]]
            # OBJ counts from 1.
            corners = [index - 1 if index > 0 else len(vertices) + index for index in corners]
            faces += [(corners[0], b, c) for b, c in itertools.pairwise(corners[1:])]
            if len(faces) > MAX_FACES:
                raise ValueError(f"more than {MAX_FACES:,} faces")
    return Triangles(np.array(vertices, np.float64).reshape(-1, 3), np.array(faces, np.int64).reshape(-1, 3))


def _npz_triangles(data: bytes) -> Triangles:
    """Read `vertices` (V, 3) and `faces` (F, 3) of an NPZ without objects, of a limited unpacked size."""
    check_archive(data)
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return Triangles(
            np.asarray(arrays["vertices"], np.float64).reshape(-1, 3),
            np.asarray(arrays["faces"], np.int64).reshape(-1, 3),
        )


def check_archive(data: bytes) -> tuple[str, ...]:
    """Return the names in a zip archive. Raises ValueError unless it is whole, of limited size, stored or deflated."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
    except zipfile.BadZipFile as error:
        raise ValueError(str(error)) from None
    # The directory states the sizes before anything is unpacked.
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > MAX_BYTES:
        raise ValueError(f"expected at most {MAX_BYTES >> 20} MiB unpacked, got {unpacked >> 20} MiB")
    # numpy writes no other; zipfile unpacks others without a limit.
    if any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in entries):
        raise ValueError("expected arrays stored or deflated, got another compression")
    return tuple(entry.filename for entry in entries)


READERS: dict[str, Callable[[bytes], Triangles]] = {
    ".glb": glb_triangles,
    ".ply": ply_triangles,
    ".obj": _obj_triangles,
    ".npz": _npz_triangles,
}
