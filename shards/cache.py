"""A bounded local copy of what was read from a store that is far away.

One file a sample, keyed by its shard's digest and its place in it, so that two shards of the same name never meet; the
folder may be shared by any number of processes. Its size is kept in one locked file: a sample finds room, or is not
kept. What is removed while someone reads it stays readable until they are done, as files do.
"""

import fcntl
import os
import secrets
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from base.errors import UsageError
from base.storage import TEMPORARY_PREFIX, reason
from shards.version import SampleEntry, ShardEntry

LEDGER = "bytes"
CHECKSUM_BYTES = 4
KEPT_SHARE = 0.9
"""When it is full, the samples that were used longest ago go until so much of the limit is left in use."""


class SampleCache:
    """Samples by (shard's sha256, offset) in `folder`, in at most `limit_bytes`.

    Raises UsageError for a folder that cannot be written to.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder, self.limit_bytes = folder, limit_bytes
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with self._ledger():
                pass
        except OSError as error:
            raise UsageError(f"{folder}: expected a folder to cache samples in, got: {reason(error)}") from None

    def get(self, shard: ShardEntry, entry: SampleEntry) -> bytes | None:
        """A sample's bytes; None when they are not here, or not whole."""
        path = self._path(shard, entry)
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        sample, checksum = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
        return sample if len(sample) == entry.bytes and checksum == _checksum(sample) else None

    def put(self, shard: ShardEntry, entry: SampleEntry, data: bytes) -> None:
        """Keep a sample's bytes, if there is room for them once others are gone."""
        path = self._path(shard, entry)
        size = len(data) + CHECKSUM_BYTES
        temporary = self.folder / f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(6)}"
        try:
            if not self._reserve(size):
                return
            temporary.write_bytes(data + _checksum(data))
            path.parent.mkdir(exist_ok=True)
            temporary.replace(path)
        except OSError:  # a disk that is full: the sample is read from afar again
            temporary.unlink(missing_ok=True)

    def _path(self, shard: ShardEntry, entry: SampleEntry) -> Path:
        return self.folder / shard.sha256 / f"{entry.offset}"

    def _reserve(self, size: int) -> bool:
        """Count `size` bytes more; False when not even eviction makes room for them."""
        with self._ledger() as stream:
            used = _number(stream.read())
            if used is None or used + size > self.limit_bytes:
                used = self._evict(int(self.limit_bytes * KEPT_SHARE) - size)
            fits = used + size <= self.limit_bytes
            stream.seek(0)
            stream.truncate()
            stream.write(str(used + size if fits else used).encode())
            return fits

    def _evict(self, limit_bytes: int) -> int:
        """Remove the samples used longest ago until the others fit into `limit_bytes`; the bytes that are left."""
        found = sorted(self._files())
        used = sum(size for _, size, _ in found)
        for _, size, path in found:
            if used <= limit_bytes:
                break
            path.unlink(missing_ok=True)
            used -= size
        return used

    def _files(self) -> Iterator[tuple[int, int, Path]]:
        """(time of the last use, bytes, path) of every file, those included that were never finished."""
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = Path(folder, name)
                try:
                    stat = path.stat()
                except FileNotFoundError:  # finished or removed by another process just now
                    continue
                if path.name != LEDGER:
                    yield stat.st_mtime_ns, stat.st_size, path

    @contextmanager
    def _ledger(self) -> Iterator[BinaryIO]:
        """The file that counts the bytes in use, locked."""
        with (self.folder / LEDGER).open("a+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            stream.seek(0)
            yield stream


def _number(text: bytes) -> int | None:
    return int(text) if text.isdigit() else None


def _checksum(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(CHECKSUM_BYTES, "big")
