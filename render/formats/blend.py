"""Check Blender's own files before Blender opens them: whole blocks up to an end, without links to other files.

A file is a header and blocks. Each block is a header (code, length, …) and its bytes; the last block has the code ENDB.
The whole file may be compressed with gzip (before 3.0) or Zstandard.
"""

import gzip
import struct
import zlib
from pathlib import Path
from typing import Protocol

from render.formats.blend_images import DESCRIPTION, IMAGE, MAX_BLOCK_BYTES, picture_names
from render.formats.model_files import ModelFiles
from render.formats.pictures import picture_files
from render.formats.refused import corrupt, unsupported
from render.formats.surroundings import Surroundings

MAGIC = b"BLENDER"
GZIP, ZSTANDARD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
HEADER_BYTES = 12
NEWEST = 405
BLOCK = {b"_": struct.Struct("<4si12x"), b"-": struct.Struct("<4si16x")}
"""Block headers with pointers of 4 and of 8 bytes; only code and length matter here."""

MAX_IMAGES = 4096

END, LIBRARY = b"ENDB", b"LI\0\0"
MAX_BYTES = 4 << 30
MAX_WINDOW_BYTES = 128 << 20
PIECE = 1 << 20


class Readable(Protocol):
    """A source of bytes, read in order."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` next bytes; no bytes at the end."""


def check_blend(path: Path, around: Surroundings) -> ModelFiles:
    """Find the pictures that are not packed. Raises Refused for a cut file and for linked libraries."""
    import zstandard

    with path.open("rb") as stream:
        magic = stream.read(4)
        stream.seek(0)
        try:
            if magic.startswith(GZIP):
                with gzip.open(stream) as unpacked:
                    names = _check_blocks(unpacked)
            elif magic == ZSTANDARD:
                # A file may ask for a window of gigabytes.
                unpacker = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
                names = _check_blocks(unpacker.stream_reader(stream, read_across_frames=True, closefd=False))
            else:
                names = _check_blocks(stream)
        except (zlib.error, gzip.BadGzipFile, EOFError, zstandard.ZstdError) as error:
            raise corrupt(f"expected a Blender file that unpacks, got: {error}") from None
    # `//` is the folder of the Blender file.
    return picture_files([name.removeprefix("//") for name in names], around)


def _check_blocks(stream: Readable) -> list[str]:
    """The paths of pictures in the blocks of a file."""
    head = stream.read(HEADER_BYTES)
    if not head.startswith(MAGIC) or len(head) < HEADER_BYTES:
        raise corrupt(f"expected a Blender file, got {'an empty file' if not head else repr(head)}")
    pointers, order, version = head[7:8], head[8:9], head[9:12]
    if pointers not in BLOCK or order != b"v" or not version.isdigit() or int(version) > NEWEST:
        raise unsupported(
            f"expected a little-endian file of Blender {NEWEST // 100}.{NEWEST % 100} or older, got {head!r}"
        )
    block, total = BLOCK[pointers], 0
    images, description = list[bytes](), b""
    # A packed file can unpack without end.
    while total <= MAX_BYTES:
        # Only the code: the last block may end with the file, before a whole header.
        head = _exactly(stream, 4)
        if head == END:
            pointer_bytes = 4 if pointers == b"_" else 8
            return list(picture_names(description, images, pointer_bytes)) if images else []
        code, length = block.unpack(head + _exactly(stream, block.size - 4))
        if code == LIBRARY:
            raise unsupported("expected a Blender file with all its data, got links to other files")
        if length < 0:
            raise corrupt(f"expected a block of 0 bytes or more, got {length} bytes")
        if code in (IMAGE, DESCRIPTION) and length <= MAX_BLOCK_BYTES and len(images) < MAX_IMAGES:
            data = _exactly(stream, length)
            images, description = ([*images, data], description) if code == IMAGE else (images, data)
        else:
            for start in range(0, length, PIECE):
                # In pieces: the length is the file's claim, and no memory should follow from it.
                _exactly(stream, min(PIECE, length - start))
        total += block.size + length
    raise corrupt(f"expected a Blender file of at most {MAX_BYTES} bytes, got more")


def _exactly(stream: Readable, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = stream.read(size - len(data))
        if not more:
            raise corrupt("expected a whole Blender file, got an end before the last block")
        data += more
    return data
