"""OBJ, PLY and STL models far from their origin: the private copy is moved near before Blender reads it in 32 bits.

Only text and 64-bit numbers hold more than Blender keeps; other models stay as they are.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from render.blender.georeference import FAR

Floats = NDArray[np.float64]
Columns = tuple[int, int, int]

ENOUGH = 1000
"""After so many vertices a model's size is known well enough to tell that it is not far."""
SCALARS = {"char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
           "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
           "double": "f8", "float64": "f8"}  # fmt: skip


def move_near(path: Path) -> Floats:
    """Move the vertices of a model's copy near the origin, in the file itself.

    Returns the offset (3,) in the file's axes: x moved to x − offset. It is zero, and the file unchanged, for a model
    near its origin, of another format, or with coordinates that are not numbers.
    """
    try:
        if path.suffix == ".ply" and (table := _double_vertices(path)) is not None:
            return _move_table(table)
        offset = _offset_of_text(path)
    except (ValueError, IndexError, KeyError):  # Blender's importer says what is wrong with the file
        return np.zeros(3)
    if offset.any():
        _rewrite(path, offset)
    return offset


def _offset(low: Floats, high: Floats) -> Floats:
    """Return the middle of far bounds, in whole units so that short decimals stay short; zero for near bounds."""
    middle = (low + high) / 2.0
    if not np.isfinite(middle).all() or np.abs(middle).max() <= FAR * float((high - low).max()):
        return np.zeros(3)
    return np.round(middle)


def _offset_of_text(path: Path) -> Floats:
    low, high, seen = np.full(3, np.inf), np.full(3, -np.inf), 0
    with path.open("rb") as stream:
        for line, columns in _lines(stream, path.suffix):
            if columns is None:
                continue
            words = line.split()
            point = np.array([float(words[column]) for column in columns])
            low, high, seen = np.minimum(low, point), np.maximum(high, point), seen + 1
            # Most models are near, and reading all of a large text for it would double the import.
            if seen == ENOUGH and np.abs(point).max() <= (FAR - 1.0) * float((high - low).max()):
                return np.zeros(3)  # whatever follows can only make it larger
    return _offset(low, high) if seen else np.zeros(3)


def _rewrite(path: Path, offset: Floats) -> None:
    moved = path.with_name(f"{path.name}.near")
    with path.open("rb") as stream, moved.open("wb") as out:
        for line, columns in _lines(stream, path.suffix):
            if columns is not None:
                words = line.split()
                for column, by in zip(columns, offset, strict=True):
                    # `repr` is the shortest text that gives the same float again.
                    words[column] = repr(float(words[column]) - float(by)).encode()
                line = b" ".join(words) + b"\n"  # noqa: PLW2901
            out.write(line)
    moved.replace(path)


def _lines(stream: BinaryIO, suffix: str) -> Iterator[tuple[bytes, Columns | None]]:
    """Yield each line, and for a vertex the columns of x, y and z. Binary models have no vertices here."""
    if suffix == ".ply":
        yield from _ply_lines(stream)
        return
    word = {".obj": b"v", ".stl": b"vertex"}.get(suffix)
    if word is None or (suffix == ".stl" and b"\0" in stream.peek(96)[:96]):  # type: ignore[attr-defined]
        return
    for line in stream:
        yield line, (1, 2, 3) if line.split(None, 1)[:1] == [word] else None


def _ply_lines(stream: BinaryIO) -> Iterator[tuple[bytes, Columns | None]]:
    header = list(_header(stream))
    rows, properties = _vertices(header)
    if [b"format", b"ascii", b"1.0"] not in [line.split() for line in header]:
        return
    names = [name for _, name in properties]
    columns = names.index("x"), names.index("y"), names.index("z")
    yield from ((line, None) for line in header)
    for number, line in enumerate(stream):
        yield line, columns if number < rows else None


def _header(stream: BinaryIO) -> Iterator[bytes]:
    for line in stream:
        yield line
        if line.split() == [b"end_header"]:
            return


def _vertices(header: list[bytes]) -> tuple[int, list[tuple[str, str]]]:
    """Return the number of vertices and their properties (type, name); none unless they are the file's first table."""
    rows, properties, name = 0, list[tuple[str, str]](), ""
    for words in (line.decode("latin-1").split() for line in header):
        match words:
            case ["element", element, count]:
                if name == "vertex" or element != "vertex":
                    break
                name, rows = element, int(count)
            case ["property", kind, label]:
                properties.append((kind, label))
            # A list among a vertex's properties: rows would differ in length.
            case ["property", *_]:
                return 0, []
    return rows, properties


def _double_vertices(path: Path) -> NDArray[np.void] | None:
    """Map the vertices of a binary PLY for writing; None without 64-bit coordinates in the first table."""
    with path.open("rb") as stream:
        header = list(_header(stream))
        start = stream.tell()
    formats = {words[1] for words in (line.split() for line in header) if len(words) == 3 and words[0] == b"format"}
    order = {b"binary_little_endian": "<", b"binary_big_endian": ">"}.get(formats.pop() if formats else b"")
    rows, properties = _vertices(header)
    if order is None or not rows or {kind for kind, name in properties if name in "xyz"} - {"double", "float64"}:
        return None
    row = np.dtype([(name, order + SCALARS[kind]) for kind, name in properties])
    # In place: only the private copy is written.
    return np.memmap(path, row, "r+", start, (rows,))


def _move_table(table: NDArray[np.void]) -> Floats:
    points = np.stack([table[axis] for axis in "xyz"], axis=1)
    offset = _offset(points.min(axis=0), points.max(axis=0))
    if offset.any():
        for axis, by in zip("xyz", offset, strict=True):
            table[axis] -= by
        table.flush()  # type: ignore[attr-defined]
    return offset
