"""PLY, checked before Blender sees it: the header promises rows, and the file must hold them."""

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from render.formats.model_files import ModelFiles
from render.formats.refused import corrupt
from render.formats.surroundings import Surroundings

MAX_HEADER_BYTES = 1 << 20
TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
"""NumPy's names of PLY's scalar types."""

ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}
PIECE = 1 << 22
MAX_WALKED = 1 << 20
"""The most rows of unequal length to follow in turn; more rows are only checked for their least length."""


@dataclass
class Element:
    """A table of the file: `rows` of properties, each a scalar type, or the types of a list's length and items."""

    name: str
    rows: int
    properties: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def least_bytes(self) -> int:
        """The length of a row whose lists are empty."""
        return sum(np.dtype(types[0]).itemsize for types in self.properties.values())

    def has_lists(self) -> bool:
        """Whether rows may differ in length."""
        return any(len(types) > 1 for types in self.properties.values())


def check_ply(path: Path, _around: Surroundings) -> ModelFiles:
    """Check that a file is a whole PLY. Raises Refused for a broken header, and for a body shorter than it says."""
    with path.open("rb") as stream:
        head = stream.read(MAX_HEADER_BYTES)
        if not head.startswith(b"ply"):
            raise corrupt(f"expected a PLY model, got {'an empty file' if not head else repr(head[:12])}")
        end = head.find(b"end_header")
        start = head.find(b"\n", end) + 1
        if end < 0 or not start:
            raise corrupt("expected a PLY header with an end, got no end")
        kind, elements = _header(head[:end].decode("latin-1").split("\n"))
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if kind == "ascii":
                _check_lines(data, start, sum(element.rows for element in elements))
            else:
                _check_bytes(data, start, elements, ORDERS[kind])
    return ModelFiles()


def _header(lines: list[str]) -> tuple[str, list[Element]]:
    kind, elements = "", list[Element]()
    for words in (line.split() for line in lines[1:]):
        match words:
            case ["format", str(kind), "1.0"]:
                pass
            case ["element", name, rows] if rows.isdigit():
                elements.append(Element(name, int(rows)))
            case ["property", "list", length, item, name] if elements and {length, item} <= TYPES.keys():
                elements[-1].properties[name] = TYPES[length], TYPES[item]
            case ["property", scalar, name] if elements and scalar in TYPES:
                elements[-1].properties[name] = (TYPES[scalar],)
            case [] | ["comment" | "obj_info", *_]:
                pass
            case _:
                raise corrupt(f"expected a line of a PLY header, got {' '.join(words)[:60]!r}")
    if kind not in {"ascii", *ORDERS}:
        raise corrupt(f"expected a PLY format of ascii, {' or '.join(ORDERS)}, got {kind[:40]!r}")
    places = [element.properties.keys() for element in elements if element.name == "vertex"]
    if not places or not {"x", "y", "z"} <= places[0]:
        raise corrupt("expected PLY vertices with x, y and z, got vertices without them")
    return kind, elements


def _check_lines(data: mmap.mmap, start: int, rows: int) -> None:
    pieces = (data[place : place + PIECE] for place in range(start, len(data), PIECE))
    # The last line may lack its end.
    held = sum(piece.count(b"\n") for piece in pieces) + (len(data) > start and data[-1:] != b"\n")
    if held < rows:
        raise corrupt(f"expected {rows} lines after the PLY header, got {held}")


def _check_bytes(data: mmap.mmap, place: int, elements: list[Element], order: str) -> None:
    for element in elements:
        least = place + element.rows * element.least_bytes()
        if least > len(data):
            raise corrupt(f"expected at least {least} bytes for the {element.name} rows, got {len(data)}")
        place = _end_of_lists(data, place, element, order) if element.has_lists() else least


def _end_of_lists(data: mmap.mmap, place: int, element: Element, order: str) -> int:
    # Nearly every mesh has triangles alone; numpy then checks all rows at once.
    same = _end_of_equal_rows(data, place, element, order)
    if same is not None or element.rows > MAX_WALKED:
        return same or place + element.rows * element.least_bytes()
    parts = list(_parts(element, order))
    try:
        for _ in range(element.rows):
            for head, item_bytes in parts:
                place += head.size + (item_bytes and max(0, head.unpack_from(data, place)[-1]) * item_bytes)
    except struct.error:
        place = len(data) + 1
    if place > len(data):
        raise corrupt(f"expected {element.rows} {element.name} rows, got the end of the file before the last")
    return place


def _parts(element: Element, order: str) -> Iterator[tuple[struct.Struct, int]]:
    """The parts of a row: scalars, then, except in the last part, a list's length and items."""
    scalars = ""
    for types in element.properties.values():
        scalars += np.dtype(types[0]).char
        if len(types) > 1:
            yield struct.Struct(order + scalars), np.dtype(types[1]).itemsize
            scalars = ""
    if scalars:
        yield struct.Struct(order + scalars), 0


def _end_of_equal_rows(data: mmap.mmap, place: int, element: Element, order: str) -> int | None:
    """The end of the rows when the only list is the first property and equally long in every row; else None."""
    first, *others = element.properties.values()
    if not element.rows or len(first) < 2 or any(len(types) > 1 for types in others):
        return None
    length = int(np.frombuffer(data, order + first[0], 1, place)[0])
    end = place + element.rows * (element.least_bytes() + length * np.dtype(first[1]).itemsize)
    if length < 0 or end > len(data):
        return None
    fields = [("length", order + first[0]), ("items", order + first[1], (length,))]
    row = np.dtype(fields + [(f"p{number}", order + types[0]) for number, types in enumerate(others)])
    return end if (np.frombuffer(data, row, element.rows, place)["length"] == length).all() else None
