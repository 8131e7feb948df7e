"""OpenEXR pictures as arrays: scan lines without compression, or with ZIP, ZIPS or RLE; half and float channels.

A small reader of our own, because the file comes from elsewhere: every size is checked before it is used. Format:
openexr.com, "OpenEXR File Layout". Tiles, several parts and deep data are refused.
"""

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from base.errors import Failure
from base.storage import reason

Floats = NDArray[np.float64]

MAGIC, PLAIN_SCAN_LINES = 20000630, 2
LINES = {0: 1, 1: 1, 2: 1, 3: 16}
"""Compression (none, RLE, ZIPS, ZIP) → scan lines of a block."""
KINDS = {0: "<u4", 1: "<f2", 2: "<f4"}
MAX_BYTES, MAX_PIXELS, MAX_NAME = 512 << 20, 64_000_000, 255


def read_exr(path: Path, channels: tuple[str, ...], hw: tuple[int, int]) -> Floats:
    """Read channels as (H, W, C). A missing alpha is 1. Raises Failure, in a sentence, for another size or form."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Failure(f"{path}: expected at most {MAX_BYTES >> 20} MiB, got {path.stat().st_size >> 20} MiB")
        found = _decode(path.read_bytes(), hw)
    except OSError as error:
        raise Failure(f"{path}: expected an OpenEXR picture, got: {reason(error)}") from None
    except (ValueError, struct.error, zlib.error, KeyError, IndexError) as error:
        raise Failure(f"{path}: expected an OpenEXR picture, got: {error}") from None
    if "A" in channels:
        found.setdefault("A", np.ones(hw))
    missing = [name for name in channels if name not in found]
    if missing:
        raise Failure(f"{path}: expected channels {', '.join(channels)}, got {', '.join(sorted(found))}")
    return np.stack([found[name] for name in channels], axis=-1)


def _decode(data: bytes, hw: tuple[int, int]) -> dict[str, Floats]:
    magic, version = struct.unpack_from("<II", data)
    # Bit 10 only allows long names.
    if magic != MAGIC or version & ~0x400 != PLAIN_SCAN_LINES:
        raise ValueError("another format, or tiles, parts or deep data")
    attributes, offset = _attributes(data, 8)
    left, top, right, bottom = struct.unpack("<4i", attributes["dataWindow"])
    got = (bottom - top + 1, right - left + 1)
    if got != hw or hw[0] * hw[1] > MAX_PIXELS:
        raise ValueError(f"a picture of {got[1]} × {got[0]}, expected {hw[1]} × {hw[0]}")
    compression = attributes["compression"][0]
    if compression not in LINES:
        raise ValueError(f"compression {compression}; ZIP, ZIPS, RLE and none are read")
    kinds = _channels(attributes["channels"])
    made = {name: np.zeros(hw) for name, _ in kinds}
    # Ceiling division: the last block may have fewer lines.
    blocks = -(-hw[0] // LINES[compression])
    for number in range(blocks):
        # After the header comes a table with the offset of each block.
        (start,) = struct.unpack_from("<Q", data, offset + 8 * number)
        line, size = struct.unpack_from("<iI", data, start)
        first = line - top
        rows = min(LINES[compression], hw[0] - first)
        if first < 0 or rows < 1 or start + 8 + size > len(data):
            raise ValueError("a block outside the picture")
        _place(
            made,
            _unpacked(data[start + 8 : start + 8 + size], compression, _row_bytes(kinds, hw[1]) * rows),
            kinds,
            first,
        )
    return made


def _place(made: dict[str, Floats], block: bytes, kinds: list[tuple[str, str]], first: int) -> None:
    width = next(iter(made.values())).shape[1]
    row_bytes = _row_bytes(kinds, width)
    for row in range(len(block) // row_bytes):
        offset = row * row_bytes
        for name, kind in kinds:
            values = np.frombuffer(block, kind, width, offset)
            made[name][first + row] = values
            offset += values.nbytes


def _row_bytes(kinds: list[tuple[str, str]], width: int) -> int:
    return sum(np.dtype(kind).itemsize for _, kind in kinds) * width


def _unpacked(data: bytes, compression: int, size: int) -> bytes:
    """Undo a block's compression to exactly `size` bytes."""
    if len(data) == size:  # a block that does not shrink is stored plainly
        return data
    if compression == 0:
        raise ValueError("a block of another size")
    # At most a byte more than expected is unpacked: a small block could promise gigabytes.
    raw = _run_lengths(data, size) if compression == 1 else zlib.decompressobj().decompress(data, size + 1)
    if len(raw) != size:
        raise ValueError("a block of another size")
    # The bytes are differences, and the two halves are interleaved.
    # The first byte is stored as it is, hence the addition of 128 after the sum.
    summed = np.cumsum(np.frombuffer(raw, np.uint8).astype(np.int64) - 128)
    values = (summed + 128).astype(np.uint8)
    mixed = np.empty(size, np.uint8)
    half = (size + 1) // 2
    mixed[0::2], mixed[1::2] = values[:half], values[half:]
    return mixed.tobytes()


def _run_lengths(data: bytes, size: int) -> bytes:
    made, offset = bytearray(), 0
    while offset < len(data) and len(made) <= size:
        (count,) = struct.unpack_from("<b", data, offset)
        # A negative count is followed by that many plain bytes, another by a byte to repeat count + 1 times.
        if count < 0:
            made += data[offset + 1 : offset + 1 - count]
            offset += 1 - count
        else:
            made += data[offset + 1 : offset + 2] * (count + 1)
            offset += 2
    return bytes(made)


def _attributes(data: bytes, offset: int) -> tuple[dict[str, bytes], int]:
    found: dict[str, bytes] = {}
    while data[offset] != 0:
        name, offset = _text(data, offset)
        _, offset = _text(data, offset)
        (size,) = struct.unpack_from("<I", data, offset)
        # Slicing would silently return less.
        if size > len(data):
            raise ValueError("a header longer than the file")
        found[name] = data[offset + 4 : offset + 4 + size]
        offset += 4 + size
    return found, offset + 1


def _channels(data: bytes) -> list[tuple[str, str]]:
    """Return (name, type) in the order of the file. The last part of a layer's name is its channel."""
    kinds, offset = [], 0
    while data[offset] != 0:
        name, offset = _text(data, offset)
        kind, _, x, y = struct.unpack_from("<iIii", data, offset)
        if (x, y) != (1, 1):
            raise ValueError("channels at half the resolution")
        kinds.append((name.rpartition(".")[2], KINDS[kind]))
        offset += 16
    return kinds


def _text(data: bytes, offset: int) -> tuple[str, int]:
    end = data.index(b"\0", offset, offset + MAX_NAME + 1)
    return data[offset:end].decode("ascii", "replace"), end + 1
