"""PNG files of the kinds that Pillow does not write: 16 bits a channel, interlaced, with chosen chunks."""

import struct
import zlib
from typing import Any

from numpy.typing import NDArray

COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Column, row, and the steps between columns and rows of each pass."""


def png(pixels: NDArray[Any], *, interlaced: bool = False, chunks: dict[str, bytes] | None = None) -> bytes:
    """`pixels` (H, W, C) of 8 or 16 bits as a PNG; `chunks` come before the data."""
    height, width, channels = pixels.shape
    bits = 8 * pixels.itemsize
    header = struct.pack(">IIBBBBB", width, height, bits, COLOUR_TYPES[channels], 0, 0, int(interlaced))
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    rows = b"".join(_rows(pixels[row::down, column::right]) for column, row, right, down in passes)
    parts = {"IHDR": header, **(chunks or {}), "IDAT": zlib.compress(rows), "IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name.encode(), data) for name, data in parts.items())


def _rows(pixels: NDArray[Any]) -> bytes:
    if not pixels.size:
        return b""
    data = pixels.astype(pixels.dtype.newbyteorder(">")).reshape(len(pixels), -1)
    return b"".join(b"\0" + row.tobytes() for row in data)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
