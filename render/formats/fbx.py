"""Check binary FBX before Blender opens it: a tree of nodes with the stated ends, and arrays of the stated lengths.

A node is a header (end, number and length of properties, name), its properties, and its children up to an empty header.
"""

import mmap
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from base.outcomes import Outcome
from render.formats.model_files import ModelFiles
from render.formats.pictures import picture_files
from render.formats.refused import Refused, corrupt, unsupported
from render.formats.surroundings import Surroundings
from render.references import file_name

MAGIC = b"Kaydara FBX Binary  \0\x1a\0"
VERSION = struct.Struct("<I")
NODES_AT = len(MAGIC) + VERSION.size
OLDEST, WIDE_SINCE = 7100, 7500
NARROW, WIDE = struct.Struct("<IIIB"), struct.Struct("<QQQB")
MAX_DEPTH = 64
SCALARS = {b"Z": 1, b"Y": 2, b"B": 1, b"C": 1, b"I": 4, b"F": 4, b"D": 8, b"L": 8}
ARRAYS = {b"b": 1, b"c": 1, b"i": 4, b"l": 8, b"f": 4, b"d": 8}
ARRAY = struct.Struct("<III")
PICTURE_NODES = {b"FileName", b"Filename", b"RelativeFilename"}
EMBEDDED = b"Content"
"""The node of a picture's own bytes, after the nodes of its names."""

MAX_UNPACKED_BYTES = 4 << 30
"""The limit for all compressed arrays together."""
PIECE = 1 << 20


def check_fbx(path: Path, around: Surroundings) -> ModelFiles:
    """Find the pictures that an FBX file names. Raises Refused for what is not a whole binary FBX.

    FBX keeps the paths of its author's machine. Pictures inside the file are not looked for in other folders.
    """
    with path.open("rb") as stream:
        head = stream.read(NODES_AT)
        if head.lstrip()[:5] == b"; FBX":
            raise unsupported("expected a binary FBX model, got an FBX model as text")
        if not head.startswith(MAGIC) or len(head) < NODES_AT:
            raise corrupt(f"expected a binary FBX model, got {'an empty file' if not head else repr(head[:12])}")
        (version,) = VERSION.unpack_from(head, len(MAGIC))
        if version < OLDEST:
            raise unsupported(f"expected FBX version {OLDEST} or newer, got version {version}")
        # Mapped: files have gigabytes, and only headers are looked at.
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                found = list(_Tree(data, WIDE if version >= WIDE_SINCE else NARROW).pictures(NODES_AT, len(data), 0))
            except (struct.error, IndexError):
                raise corrupt("expected a whole FBX model, got an end inside a node") from None
    named_before = zip(found, [None, *found], strict=False)
    embedded = {file_name(before) for name, before in named_before if name is None and before is not None}
    names = dict.fromkeys(name for name in found if name is not None)
    return picture_files(names, around, embedded=embedded)


class _Tree:
    def __init__(self, data: mmap.mmap, header: struct.Struct) -> None:
        self._data, self._header = data, header
        self._unpacked_bytes = 0

    def pictures(self, place: int, end: int, depth: int) -> Iterator[str | None]:
        """The paths of pictures in the nodes from `place` to the empty header before `end`.

        None follows the path of a picture whose bytes are in the file.
        """
        if depth > MAX_DEPTH:
            raise corrupt(f"expected nodes at most {MAX_DEPTH} deep, got deeper nodes")
        while place < end:
            node_end, count, length, name_length = self._header.unpack_from(self._data, place)
            if not node_end:
                return
            start = place + self._header.size + name_length
            children = start + length
            if not start <= children <= node_end <= end or count > length:
                raise corrupt(f"expected a node inside {end} bytes, got a node to byte {node_end}")
            text, name = self._checked(start, children, count), self._data[start - name_length : start]
            if text is not None and name in PICTURE_NODES:
                yield text.decode("utf-8", "replace")
            elif text and name == EMBEDDED:
                yield None
            # Recursive, hence MAX_DEPTH.
            yield from self.pictures(children, node_end, depth + 1)
            place = node_end
        if depth == 0:
            raise corrupt("expected a whole FBX model, got the end of the file before the last node")

    def _checked(self, place: int, end: int, count: int) -> bytes | None:
        """Return the first property if it is text. Raises Refused for properties of another length than stated."""
        first = None
        for number in range(count):
            kind = self._data[place : place + 1]
            if kind in SCALARS:
                place += 1 + SCALARS[kind]
            elif kind in ARRAYS:
                items, packed, length = ARRAY.unpack_from(self._data, place + 1)
                place += 1 + ARRAY.size
                if place + length > end:
                    break
                self._check_array(place, length, items * ARRAYS[kind], packed)
                place += length
            elif kind in {b"S", b"R"}:
                (length,) = VERSION.unpack_from(self._data, place + 1)
                place += 1 + VERSION.size + length
                first = self._data[place - length : place] if number == 0 and place <= end else first
            else:
                raise corrupt(f"expected a kind of property that FBX has, got {kind!r}")
        if place != end:
            raise corrupt(f"expected {count} properties to end at byte {end}, got {place}")
        return first

    def _check_array(self, place: int, length: int, expected: int, packed: int) -> None:
        held = length
        if packed:
            self._unpacked_bytes += expected
            # Many small arrays can promise as much as a large one.
            if self._unpacked_bytes > MAX_UNPACKED_BYTES:
                raise Refused(Outcome.TOO_LARGE, f"expected at most {MAX_UNPACKED_BYTES} bytes in arrays, got more")
            pieces = (self._data[at : min(at + PIECE, place + length)] for at in range(place, place + length, PIECE))
            held = _unpacked_length(pieces, expected)
        if held != expected:
            raise corrupt(f"expected an array of {expected} bytes, got {'at least ' * (held > expected)}{held}")


def _unpacked_length(pieces: Iterator[bytes], enough: int) -> int:
    """Count the uncompressed bytes of a zlib stream in bounded memory; stop beyond `enough`."""
    unpack, held = zlib.decompressobj(), 0
    try:
        for piece in pieces:
            rest = piece
            while rest and held <= enough:
                # At most PIECE at once: a few bytes can unpack to gigabytes.
                held += len(unpack.decompress(rest, PIECE))
                rest = unpack.unconsumed_tail
        return held + len(unpack.flush())
    except zlib.error as error:
        raise corrupt(f"expected a packed array, got: {error}") from None
