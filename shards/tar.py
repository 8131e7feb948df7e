"""Tar files as shards use them: the same members give the same bytes, and a byte range can be read on its own."""

import io
import tarfile
from collections.abc import Mapping
from typing import BinaryIO

MODE = 0o444
BLOCK = tarfile.BLOCKSIZE
END = bytes(BLOCK)
CHECKSUM_AS_SPACES = 8 * ord(" ")
PLAIN_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE)


class BadTar(ValueError):
    """Bytes that are not the tar they should be; says what was expected and what was got."""


class TarWriter:
    """Writes a tar of whole samples to a stream; nothing in it depends on time, user or machine."""

    def __init__(self, stream: BinaryIO) -> None:
        self.archive = tarfile.TarFile(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT)

    def add(self, members: Mapping[str, bytes]) -> tuple[int, int]:
        """Append members in the order of their names; the (offset, length) in bytes of what was appended."""
        start = self.archive.offset
        for name in sorted(members):
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(members[name]), MODE, 0
            self.archive.addfile(info, io.BytesIO(members[name]))
        return start, self.archive.offset - start

    def close(self) -> None:
        """Write the end of the archive."""
        self.archive.close()


def read_members(data: bytes) -> dict[str, bytes]:
    """The files in a tar, or in a byte range of one that begins and ends at a member.

    Raises BadTar for data that is no tar, is cut short, or holds a name twice, a folder, a link or a path.
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
        offset += -(-size // BLOCK) * BLOCK
    if data and not members:
        raise BadTar("expected a tar, got no member")
    return members


def _header(block: bytes) -> tuple[str, int, bytes]:
    """(name, size, type) of a member; tarfile's own reader takes ten times as long. Raises ValueError for no header."""
    if len(block) != BLOCK or block[257:262] != b"ustar" or any(block[345:500]):
        raise ValueError("no header of a plain file")
    if _octal(block[148:156]) != sum(block[:148]) + sum(block[156:]) + CHECKSUM_AS_SPACES:
        raise ValueError("a header with another checksum")
    return block[:100].partition(b"\0")[0].decode(), _octal(block[124:136]), block[156:157]


def _octal(field: bytes) -> int:
    return int(field.strip(b"\0 ") or b"0", 8)
