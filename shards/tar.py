"""Tar files of shards: equal members give equal bytes, and each sample can be read by its byte range."""

import tarfile
from collections.abc import Mapping
from functools import cache
from typing import BinaryIO

MODE = 0o444
BLOCK, RECORD = tarfile.BLOCKSIZE, tarfile.RECORDSIZE
END = bytes(BLOCK)
CHECKSUM_AS_SPACES = 8 * ord(" ")
LONGEST_NAME, MAX_SIZE = 100, 8**11 - 1
"""What fits into the fields of a header."""
PLAIN_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE)


class BadTar(ValueError):
    """Bytes are not the expected tar. The message says what was expected and what was got."""


class TarWriter:
    """Writes samples to a tar stream. The bytes do not depend on time, user or machine."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._offset = stream, 0

    def add(self, members: Mapping[str, bytes]) -> tuple[int, int]:
        """Append members in the order of their names. Returns the (offset, length) of the appended bytes.

        Raises ValueError for a name or a member too long for a tar.
        """
        start = self._offset
        # Sorted: equal members give equal bytes, and webdataset finds the members of a key side by side.
        for name in sorted(members):
            data = members[name]
            self._write(member_header(name, len(data)))
            self._write(data)
            self._write(bytes(-len(data) % BLOCK))
        return start, self._offset - start

    def close(self) -> None:
        """Write the end of the archive."""
        self._write(END + END)
        self._write(bytes(-self._offset % RECORD))

    def _write(self, data: bytes) -> None:
        self._stream.write(data)
        self._offset += len(data)


def member_header(name: str, size: int) -> bytes:
    """Return a member's header, byte for byte that of tarfile. Raises ValueError for what does not fit into it."""
    # A shard has a header for each view, and tarfile takes twenty times as long for it.
    encoded = name.encode()
    if len(encoded) > LONGEST_NAME or not 0 <= size <= MAX_SIZE:
        raise ValueError(f"expected a name of {LONGEST_NAME} bytes and {MAX_SIZE} bytes of data at most, got {name!r}")
    plain, checksum = _plain_header()
    digits = b"%011o" % size
    checksum += sum(encoded) + sum(digits)
    filled = (encoded, plain[len(encoded) : 124], digits, plain[135:148], b"%06o" % checksum, plain[154:])
    return b"".join(filled)


@cache
def _plain_header() -> tuple[bytes, int]:
    """Return the header of a member without name and size, and its part of the checksum."""
    info = tarfile.TarInfo("")
    info.mode, info.mtime = MODE, 0
    # USTAR: the other formats add headers of their own for long names or large numbers.
    header = info.tobuf(tarfile.USTAR_FORMAT)
    return header, sum(header[:124]) + sum(header[135:148]) + sum(header[156:]) + CHECKSUM_AS_SPACES


def read_members(data: bytes) -> dict[str, bytes]:
    """Read the files of a tar, or of a byte range with whole members.

    Raises BadTar for data that is not a tar, is truncated, or contains a repeated name, a folder, a link or a path.
    """
    members: dict[str, bytes] = {}
    offset = 0
    while (header := data[offset : offset + BLOCK]) and header != END:
        try:
            name, size, kind = _header(header)
        except ValueError as error:
            raise BadTar(f"expected a tar, got at byte {offset}: {error}") from None
        if kind not in PLAIN_FILES or "/" in name or not name or name in members:
            raise BadTar(f"expected plain files with a name each, got member {name!r}")
        offset += BLOCK
        if not 0 <= size <= len(data) - offset:
            raise BadTar(f"{name}: expected {size} bytes, got {len(data) - offset}")
        members[name] = data[offset : offset + size]
        # Contents are padded to whole blocks.
        offset += -(-size // BLOCK) * BLOCK
    if data and not members:
        raise BadTar("expected a tar, got no member")
    return members


def _header(block: bytes) -> tuple[str, int, bytes]:
    """Parse a member's header as (name, size, type). Raises ValueError for anything else."""
    # tarfile's own reader takes ten times as long.
    # The last field is a prefix of the name, for paths; members of a shard have none.
    if len(block) != BLOCK or block[257:262] != b"ustar" or any(block[345:500]):
        raise ValueError("no header of a plain file")
    if _octal(block[148:156]) != sum(block[:148]) + sum(block[156:]) + CHECKSUM_AS_SPACES:
        raise ValueError("a header with another checksum")
    return block[:100].partition(b"\0")[0].decode(), _octal(block[124:136]), block[156:157]


def _octal(field: bytes) -> int:
    return int(field.strip(b"\0 ") or b"0", 8)
