"""A bounded local cache of samples from a remote store.

Each sample is a file, keyed by its shard's digest and its offset, so that shards of the same name never collide. Any
number of processes may share the folder. A locked file counts the bytes in use. A sample is kept if there is space for
it after others were removed. An open file stays readable after its removal, as usual on POSIX systems.
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
"""The share of the limit that stays in use when a full cache removes its least recently used samples."""


class SampleCache:
    """Keeps samples by (shard's sha256, offset) in `folder`, in at most `limit_bytes`.

    Raises UsageError for a folder without write permission.
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
        """Return a sample's bytes, or None if they are missing or damaged."""
        path = self._path(shard, entry)
        try:
            data = path.read_bytes()
            os.utime(path)  # eviction goes by the time of the last use
        except OSError:
            return None
        sample, checksum = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
        # A power cut can leave the right length with other bytes.
        return sample if len(sample) == entry.bytes and checksum == _checksum(sample) else None

    def put(self, shard: ShardEntry, entry: SampleEntry, data: bytes) -> None:
        """Keep a sample's bytes if there is space for them after others were removed."""
        path = self._path(shard, entry)
        size = len(data) + CHECKSUM_BYTES
        temporary = self.folder / f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(6)}"
        try:
            # Before the write, so that many processes together never exceed the limit.
            if not self._reserve(size):
                return
            # Under a temporary name first: readers in other processes never see a part of a sample.
            temporary.write_bytes(data + _checksum(data))
            path.parent.mkdir(exist_ok=True)
            temporary.replace(path)
        except OSError:  # without the copy, for example on a full disk, the sample is read from the store again
            temporary.unlink(missing_ok=True)

    def _path(self, shard: ShardEntry, entry: SampleEntry) -> Path:
        # Both come from a checked version file: the digest is hexadecimal, the offset a number.
        return self.folder / shard.sha256 / f"{entry.offset}"

    def _reserve(self, size: int) -> bool:
        """Count `size` more bytes as used. Returns False if not even eviction makes space for them."""
        with self._ledger() as stream:
            # Unreadable after a power cut, for example; then the folder itself is counted.
            used = _number(stream.read())
            if used is None or used + size > self.limit_bytes:
                # A scan of the folder is slow, so each eviction makes space for many samples.
                used = self._evict(int(self.limit_bytes * KEPT_SHARE) - size)
            fits = used + size <= self.limit_bytes
            stream.seek(0)
            stream.truncate()
            stream.write(str(used + size if fits else used).encode())
            return fits

    def _evict(self, limit_bytes: int) -> int:
        """Remove the least recently used samples until the rest fits `limit_bytes`. Returns the bytes still used."""
        found = sorted(self._files())
        used = sum(size for _, size, _ in found)
        for _, size, path in found:
            if used <= limit_bytes:
                break
            path.unlink(missing_ok=True)
            used -= size
        return used

    def _files(self) -> Iterator[tuple[int, int, Path]]:
        """Yield (time of the last use, bytes, path) of every file, including files of interrupted writes."""
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = Path(folder, name)
                try:
                    stat = path.stat()
                except FileNotFoundError:  # another process has just renamed or removed it
                    continue
                if path.name != LEDGER:
                    yield stat.st_mtime_ns, stat.st_size, path

    @contextmanager
    def _ledger(self) -> Iterator[BinaryIO]:
        """Open and lock the file with the count of bytes in use."""
        with (self.folder / LEDGER).open("a+b") as stream:
            # The lock ends with its process, so a killed process blocks no other.
            fcntl.flock(stream, fcntl.LOCK_EX)
            stream.seek(0)
            yield stream


def _number(text: bytes) -> int | None:
    return int(text) if text.isdigit() else None


def _checksum(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(CHECKSUM_BYTES, "big")
