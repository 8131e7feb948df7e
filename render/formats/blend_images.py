"""Find the picture files of a Blender file, by the description of structures (SDNA) in each file."""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from render.formats.refused import corrupt

IMAGE, DESCRIPTION = b"IM\0\0", b"DNA1"
FROM_FILE, TILED = 1, 6
"""Values of `Image.source`."""

MAX_BLOCK_BYTES = 1 << 24
LENGTHS = re.compile(rb"\[(\d+)\]")


class Field(NamedTuple):
    """Where a field is in its structure, in bytes."""

    start: int
    length: int


def picture_names(description: bytes, images: list[bytes], pointer_bytes: int) -> Iterator[str]:
    """Yield the path of each picture that is a file of its own, as the Blender file has it.

    `description` is the file's DNA1 block, `images` are its image blocks. Raises Refused for a broken description.
    """
    try:
        fields = _fields_of(description, b"Image", pointer_bytes)
        path = fields.get(b"name") or fields[b"filepath"]
        source = fields[b"source"]
    except (KeyError, ValueError, IndexError, struct.error):
        raise corrupt("expected the description of images in a Blender file, got a broken description") from None
    packed = [fields[name] for name in (b"packedfiles", b"*packedfile") if name in fields]
    for image in images:
        kind = int.from_bytes(image[source.start : source.start + source.length], "little")
        # A pointer other than 0 means that the picture is inside the file.
        is_packed = any(any(image[one.start : one.start + one.length]) for one in packed)
        name = image[path.start : path.start + path.length].partition(b"\0")[0]
        if kind in (FROM_FILE, TILED) and name and not is_packed:
            yield name.decode("utf-8", "surrogateescape")


def _fields_of(description: bytes, wanted: bytes, pointer_bytes: int) -> dict[bytes, Field]:
    """The fields of a structure by name, without the lengths of arrays."""
    names, place = _words(description, 4, b"NAME")
    types, place = _words(description, place, b"TYPE")
    place = _after(description, place, b"TLEN")
    lengths = struct.unpack_from(f"<{len(types)}H", description, place)
    # Sections start at multiples of four bytes.
    place = _after(description, -(-(place + 2 * len(types)) // 4) * 4, b"STRC")
    (count,) = struct.unpack_from("<I", description, place)
    place += 4
    for _ in range(count):
        kind, number = struct.unpack_from("<HH", description, place)
        members = struct.unpack_from(f"<{2 * number}H", description, place + 4)
        place += 4 + 4 * number
        if types[kind] == wanted:
            pairs = zip(members[::2], members[1::2], strict=True)
            return _placed([(lengths[member], names[name]) for member, name in pairs], pointer_bytes)
    raise KeyError(wanted)


def _placed(members: list[tuple[int, bytes]], pointer_bytes: int) -> dict[bytes, Field]:
    found, start = dict[bytes, Field](), 0
    for length, name in members:
        # Names begin with `*` for pointers and `(*` for pointers to functions.
        size = pointer_bytes if name.startswith((b"*", b"(*")) else length
        for count in LENGTHS.findall(name):
            size *= int(count)
        found[name.partition(b"[")[0]] = Field(start, size)
        start += size
    return found


def _words(data: bytes, place: int, mark: bytes) -> tuple[list[bytes], int]:
    place = _after(data, place, mark)
    (count,) = struct.unpack_from("<I", data, place)
    words = data[place + 4 :].split(b"\0", count)[:count]
    if len(words) < count:
        raise ValueError(mark)
    end = place + 4 + sum(map(len, words)) + count
    return words, -(-end // 4) * 4


def _after(data: bytes, place: int, mark: bytes) -> int:
    if data[place : place + 4] != mark:
        raise ValueError(mark)
    return place + 4
