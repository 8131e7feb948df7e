"""PLY files, text or binary, as triangles or points (Turk 1994). Other properties are skipped."""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.shapes.triangles import Triangles

Floats = NDArray[np.float64]

TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
INDEX_LISTS = ("vertex_indices", "vertex_index")
MAX_ROWS = 50_000_000
MAX_HEADER = 1 << 16


@dataclass(frozen=True)
class _Element:
    """`properties` are (name, type) or (name, count type, item type) for a list."""

    name: str
    rows: int
    properties: tuple[tuple[str, ...], ...]

    @property
    def has_list(self) -> bool:
        return any(len(each) == 3 for each in self.properties)


def ply_triangles(data: bytes) -> Triangles:
    """Read vertices and faces; polygons become fans. Raises ValueError for anything else."""
    values = _elements(data)
    points = _points(values)
    faces = values.get("face", {})
    index = next((faces[name] for name in INDEX_LISTS if name in faces), np.zeros((0, 3), np.int64))
    return Triangles(points, np.asarray(index, np.int64))


def ply_points(data: bytes) -> Floats:
    """Read the points (N, 3) of a cloud. Raises ValueError for a file without them."""
    return _points(_elements(data))


def _points(values: dict[str, dict[str, np.ndarray]]) -> Floats:
    vertex = values.get("vertex", {})
    if not {"x", "y", "z"} <= vertex.keys():
        raise ValueError("expected vertices with x, y and z")
    return np.stack([vertex[axis].astype(np.float64) for axis in "xyz"], axis=1)


def _elements(data: bytes) -> dict[str, dict[str, np.ndarray]]:
    # Searched only within a limit: a file without an end must not be decoded as a header.
    end = data.find(b"end_header", 0, MAX_HEADER)
    newline = data.find(b"\n", end)
    if not data.startswith(b"ply") or end < 0 or newline < 0:
        raise ValueError("expected a PLY header")
    kind, elements = _header(data[:end].decode("ascii", "replace"))
    body = data[newline + 1 :]
    if kind == "ascii":
        return _text_elements(body, elements)
    order = {"binary_little_endian": "<", "binary_big_endian": ">"}.get(kind)
    if order is None:
        raise ValueError(f"expected a known PLY format, got {kind[:40]!r}")
    return _binary_elements(body, elements, order)


def _header(text: str) -> tuple[str, list[_Element]]:
    kind, elements = "", list[_Element]()
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["format"]:
            kind = words[1]
        elif words[:1] == ["element"]:
            elements.append(_Element(words[1], int(words[2]), ()))
            if not 0 <= elements[-1].rows <= MAX_ROWS:
                raise ValueError(f"expected at most {MAX_ROWS:,} rows, got {elements[-1].rows:,}")
        elif words[:1] == ["property"]:
            last = elements[-1]
            made = (words[4], TYPES[words[2]], TYPES[words[3]]) if words[1] == "list" else (words[2], TYPES[words[1]])
            elements[-1] = _Element(last.name, last.rows, (*last.properties, made))
    return kind, elements


def _text_elements(body: bytes, elements: list[_Element]) -> dict[str, dict[str, np.ndarray]]:
    listed = body.decode("ascii", "replace").split("\n")
    # A header of a few bytes may promise millions of rows; empty ones would fill the memory.
    if (promised := sum(element.rows for element in elements)) > len(listed):
        raise ValueError(f"expected {promised:,} lines after the header, got {len(listed):,}")
    lines = iter(listed)
    found = {}
    for element in elements:
        rows = [next(lines, "").split() for _ in range(element.rows)]
        if element.has_list:
            found[element.name] = {element.properties[0][0]: _fans([[int(x) for x in row] for row in rows])}
        else:
            columns = np.array(rows, np.float64).reshape(element.rows, -1)
            found[element.name] = {each[0]: columns[:, k] for k, each in enumerate(element.properties)}
    return found


def _binary_elements(body: bytes, elements: list[_Element], order: str) -> dict[str, dict[str, np.ndarray]]:
    found, start = {}, 0
    for element in elements:
        if not element.has_list:
            kind = np.dtype([(each[0], order + each[1]) for each in element.properties])
            rows = np.frombuffer(body, kind, element.rows, start)
            found[element.name] = {name: rows[name] for name in rows.dtype.names or ()}
            start += kind.itemsize * element.rows
            continue
        triangles, start = _triangle_rows(body, element, order, start)
        found[element.name] = {next(each[0] for each in element.properties if len(each) == 3): triangles}
    return found


def _triangle_rows(body: bytes, element: _Element, order: str, start: int) -> tuple[np.ndarray, int]:
    """Read rows with a list of corners: at once if all are triangles, else row by row."""
    fields: list[tuple] = []
    for each in element.properties:
        corners = [(f"{each[0]}#", order + each[1]), (each[0], order + each[-1], 3)]
        fields += corners if len(each) == 3 else [(each[0], order + each[1])]
    lists = [each for each in element.properties if len(each) == 3]
    if len(lists) != 1:
        raise ValueError(f"expected one list in {element.name[:40]!r}, got {len(lists)}")
    # A row with exactly three corners has a fixed size, so all rows can be read at once.
    kind = np.dtype(fields)
    if len(body) - start >= kind.itemsize * element.rows:
        rows = np.frombuffer(body, kind, element.rows, start)
        if (rows[f"{lists[0][0]}#"] == 3).all():
            return rows[lists[0][0]].astype(np.int64), start + kind.itemsize * element.rows
    polygons = []
    # Polygons differ in size, so the next row is found only by reading this one.
    for _ in range(element.rows):
        for each in element.properties:
            count = 1
            if len(each) == 3:
                count = int(np.frombuffer(body, order + each[1], 1, start)[0])
                start += np.dtype(each[1]).itemsize
            values = np.frombuffer(body, order + each[-1], count, start)
            start += values.nbytes
            if len(each) == 3:
                polygons.append([count, *values.tolist()])
    return _fans(polygons), start


def _fans(rows: list[list[int]]) -> np.ndarray:
    """Cut polygons, each a count and its corners, into triangles (F, 3)."""
    cut = [(row[1], b, c) for row in rows for b, c in itertools.pairwise(row[2 : row[0] + 1])]
    return np.array(cut, np.int64).reshape(-1, 3)
