"""Tar files as shards use them: the same members give the same bytes, and a byte range can be read on its own."""

import io
import tarfile
from collections.abc import Mapping
from typing import BinaryIO

from base.errors import Failure

MODE = 0o444
PLAIN_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE)


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


def read_members(data: bytes, *, where: str) -> dict[str, bytes]:
    """The files in a tar, or in a byte range of one that begins and ends at a member.

    Raises Failure, opening with `where`, for data that is no tar, is cut short, or holds a name twice, a folder, a link
    or a path.
    """
    members: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for info in archive:
                if info.type not in PLAIN_FILES or info.sparse is not None or "/" in info.name or info.name in members:
                    raise Failure(f"{where}: expected plain files with a name each, got member {info.name!r}")
                if info.size > len(data):
                    raise Failure(f"{where}: {info.name}: expected {info.size} bytes, got a shard that ends before")
                stream = archive.extractfile(info)
                members[info.name] = stream.read() if stream else b""
                if len(members[info.name]) != info.size:
                    raise Failure(f"{where}: {info.name}: expected {info.size} bytes, got {len(members[info.name])}")
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise Failure(f"{where}: expected a tar, got: {error}") from None
    return members
