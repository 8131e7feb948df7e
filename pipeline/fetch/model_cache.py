"""Keep fetched model files on this machine within a budget, so that they are not fetched again.

The name of a file holds the digests of its address and its bytes. A file with other bytes is removed.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from base.digest import sha256_file
from base.storage import TEMPORARY_PREFIX

LOCK = "lock"


@dataclass(frozen=True)
class ModelCache:
    """Files below `folder`, at most `budget_bytes` in all. A budget of 0 keeps nothing. Many processes may share a
    cache."""

    folder: Path
    budget_bytes: int

    def take(self, url: str, target: Path, sha256: str = "") -> str:
        """Copy the file of `url` to `target`. Returns its SHA-256, or empty without a copy.

        With `sha256`, only those bytes count.
        """
        for path in self._of(url):
            with suppress(FileNotFoundError):  # another process may just have made room
                shutil.copyfile(path, target)
                # Of the copy: the cached file may be replaced or damaged while it is read.
                found = sha256_file(target)
                if f"-{found}" in path.name and sha256 in ("", found):
                    # Marks its use: the files unused longest are removed first.
                    os.utime(path)
                    return found
                if f"-{found}" not in path.name:
                    path.unlink()
                target.unlink()
        return ""

    def keep(self, url: str, source: Path, sha256: str) -> None:
        """Keep the bytes at `source`, and remove the files unused longest until all fit. Raises OSError."""
        size = source.stat().st_size
        # Else everything would be removed for a file too large in any case.
        if size > self.budget_bytes:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        target = self.folder / f"{_key(url)}-{sha256}"
        temporary = target.with_name(f"{TEMPORARY_PREFIX}{target.name}-{os.getpid()}")
        with self._locking():
            # Before the copy, so that the budget is never exceeded, not even for a moment.
            self._make_room(self.budget_bytes - size)
            # Left by a killed process with our pid.
            temporary.unlink(missing_ok=True)
            shutil.copyfile(source, temporary)  # with a link, a change of either file would reach the other
            temporary.replace(target)

    def _of(self, url: str) -> list[Path]:
        return sorted(self.folder.glob(f"{_key(url)}-*")) if self.budget_bytes else []

    def _make_room(self, allowed_bytes: int) -> None:
        files = [(path.stat(), path) for path in self.folder.iterdir() if path.name != LOCK]
        held = sum(facts.st_size for facts, _ in files)
        for facts, path in sorted(files, key=lambda pair: pair[0].st_mtime):
            if held <= allowed_bytes:
                return
            path.unlink()
            held -= facts.st_size

    @contextmanager
    def _locking(self) -> Iterator[None]:
        with (self.folder / LOCK).open("ab") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield


def _key(url: str) -> str:
    # Addresses are longer than file names may be, and contain slashes.
    return hashlib.sha256(url.encode()).hexdigest()[:32]
