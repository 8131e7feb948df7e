"""The words of a binary USD file ("crate"), which include all file names in it.

Layout: a bootstrap of 88 bytes gives the position of the table of contents, which names sections. The section TOKENS
has every word once, in LZ4 blocks.
"""

import struct

from render.formats.refused import corrupt

MAGIC = b"PXR-USDC"
BOOTSTRAP_BYTES = 88
SECTION = struct.Struct("<16sqq")
MAX_SECTIONS = 64
MAX_TOKEN_BYTES = 32 << 20
COMPRESSED_SINCE = (0, 4)
OLDEST, NEWEST = (0, 0), (0, 255)


def read_tokens(data: memoryview) -> list[str]:
    """Return every word of a crate. Raises Refused for a truncated or contradictory crate."""
    sections = _sections(data)
    if "TOKENS" not in sections:
        raise corrupt("expected a USD crate with words, got no words")
    start, size = sections["TOKENS"]
    section = data[start : start + size]
    try:
        text = _inflated(section) if tuple(data[8:10]) >= COMPRESSED_SINCE else bytes(section[16:])
    except (struct.error, IndexError):
        raise corrupt("expected the words of a USD crate, got a block that ends early") from None
    return text.decode("utf-8", "replace").split("\0")


def _sections(data: memoryview) -> dict[str, tuple[int, int]]:
    if len(data) < BOOTSTRAP_BYTES:
        raise corrupt(f"expected a USD crate, got only its first {len(data)} bytes")
    (contents,) = struct.unpack_from("<q", data, 16)
    if not BOOTSTRAP_BYTES <= contents <= len(data) - 8:
        raise corrupt(f"expected a table of contents inside {len(data)} bytes, got a table at byte {contents}")
    (count,) = struct.unpack_from("<Q", data, contents)
    if count > MAX_SECTIONS or contents + 8 + count * SECTION.size > len(data):
        raise corrupt(f"expected the sections of a USD crate, got {count} of them")
    found = {}
    for number in range(count):
        name, start, size = SECTION.unpack_from(data, contents + 8 + number * SECTION.size)
        # Sizes are signed in the file, and a negative one would pass the last comparison.
        if start < 0 or size < 0 or start + size > len(data):
            raise corrupt(f"expected section {number} inside {len(data)} bytes, got {size} bytes at {start}")
        found[name.rstrip(b"\0").decode("latin-1")] = start, size
    return found


def _inflated(section: memoryview) -> bytes:
    _, size, packed = struct.unpack_from("<QQQ", section)
    if size > MAX_TOKEN_BYTES or packed > len(section) - 24:
        raise corrupt(f"expected at most {MAX_TOKEN_BYTES} bytes of words inside the section, got {size}")
    # 0 means a single block without a length before it.
    blocks, place = section[24], 25
    if not blocks:
        return lz4_block(section[place : 24 + packed], size)
    whole = b""
    for _ in range(blocks):
        (length,) = struct.unpack_from("<i", section, place)
        if not 0 <= length <= len(section) - place - 4:
            raise corrupt(f"expected a block inside the section, got a block of {length} bytes")
        whole += lz4_block(section[place + 4 : place + 4 + length], size - len(whole))
        place += 4 + length
    return whole


def lz4_block(data: memoryview, limit: int) -> bytes:
    """Decompress an LZ4 block. Raises Refused beyond `limit` bytes, IndexError for a truncated block."""
    out, place = bytearray(), 0
    while place < len(data):
        token = data[place]
        literals, place = _length(data, place + 1, token >> 4)
        out += data[place : place + literals]
        place += literals
        if place < len(data):
            back = data[place] | data[place + 1] << 8
            count, place = _length(data, place + 2, token & 15)
            # LZ4 counts repetitions from 4.
            _repeat(out, back, count + 4, limit)
        if len(out) > limit:
            raise corrupt(f"expected a block of at most {limit} bytes, got more")
    return bytes(out)


def _length(data: memoryview, place: int, length: int) -> tuple[int, int]:
    # A length of 15 goes on in the next bytes, as long as they are 255.
    more = 255 if length == 15 else 0
    while more == 255:
        more = data[place]
        length += more
        place += 1
    return length, place


def _repeat(out: bytearray, back: int, count: int, limit: int) -> None:
    if not 0 < back <= len(out) or len(out) + count > limit:
        raise corrupt(f"expected a repetition inside a block of {limit} bytes, got {count} bytes from {back} back")
    pattern = out[-back:]
    # A repetition may reach into itself: LZ4's way to write long runs.
    out += (pattern * (count // back + 1))[:count]
