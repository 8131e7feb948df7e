"""Tar files as shards use them: the same members give the same bytes, and a byte range can be read on its own."""

import io
import tarfile
from collections.abc import Iterator, Mapping
from typing import BinaryIO

MODE = 0o444
BLOCK = tarfile.BLOCKSIZE
END = bytes(BLOCK)
PLAIN_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE)


class BadTar(ValueError):
    """Bytes that are not the tar they should be; says what was expected and what was got."""


class TarSink:
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
    for info, start in _headers(data):
        if info.type not in PLAIN_FILES or "/" in info.name or not info.name or info.name in members:
            raise BadTar(f"expected plain files with a name each, got member {info.name!r}")
        if len(data) - start < info.size:
            raise BadTar(f"{info.name}: expected {info.size} bytes, got {len(data) - start}")
        members[info.name] = data[start : start + info.size]
    if data and not members:
        raise BadTar("expected a tar, got no member")
    return members


def _headers(data: bytes) -> Iterator[tuple[tarfile.TarInfo, int]]:
    """Each member's header and where its bytes begin."""
    offset = 0
    while offset < len(data):
        header = data[offset : offset + BLOCK]
        if header == END:
            return
        try:
            info = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        except (tarfile.HeaderError, ValueError) as error:
            raise BadTar(f"expected a tar, got: {error} at byte {offset}") from None
        if info.size < 0:
            raise BadTar(f"{info.name!r}: expected a length of at least 0, got {info.size}")
        offset += BLOCK
        yield info, offset
        offset += -(-info.size // BLOCK) * BLOCK
