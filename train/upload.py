"""Checkpoints copied to a store while training goes on, and fetched from there where a run has none on its disk."""

import os
import shutil
import tempfile
import threading
from pathlib import Path, PurePosixPath

from base.errors import Failure
from base.retry import Retry
from base.storage import Storage
from train.state import FOLDER, MARKER, STATE, best_checkpoint, finished_checkpoints
from zero123.saving import saved_whole

SETTING = "train.upload"
WAITING = "uploads"
PART_BYTES = 1 << 24
"""A checkpoint's files are fetched in parts of this size, each asked for again while the store is away."""


class Uploader:
    """Copies finished checkpoints to `target`, one after another in a thread; the newest is never left out.

    Files are linked, not copied, before `add` returns: forgetting a checkpoint on the disk does not disturb its upload,
    and one that is forgotten while it waits is not uploaded. Once all is uploaded the store holds the checkpoints that
    the disk holds, and until then the newest that is whole. A failed upload is given up, as the next one has all that
    it had, and is a Failure only where it was the last; `upload_newest` makes up for it.
    """

    def __init__(self, target: str, out: Path) -> None:
        self.storage, self.out = Storage(target, SETTING), out
        self.failure: Failure | None = None
        self._added: set[str] = set()
        self._kept: frozenset[str] = frozenset()
        self._waiting: list[Path] = []
        self._closed, self._changed = False, threading.Condition()
        shutil.rmtree(out / WAITING, ignore_errors=True)
        self._thread = threading.Thread(target=self._work, name="upload", daemon=True)
        self._thread.start()

    def add(self, folder: Path) -> None:
        """Have a checkpoint uploaded, and those forgotten that the disk has no more."""
        if folder.name in self._added:
            return
        self._added.add(folder.name)
        linked = self.out / WAITING / folder.name
        shutil.copytree(folder, linked, copy_function=_link)
        with self._changed:
            self._kept = frozenset(path.name for path in finished_checkpoints(self.out))
            forgotten = [path for path in self._waiting if path.name not in self._kept]
            self._waiting = [path for path in (*self._waiting, linked) if path not in forgotten]
            self._changed.notify()
        for path in forgotten:
            shutil.rmtree(path, ignore_errors=True)

    def close(self) -> None:
        """Return when everything is uploaded. Raises Failure when the last checkpoint could not be."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        if self.failure:
            raise self.failure

    def _work(self) -> None:
        while (folder := self._next()) is not None:
            try:
                self._upload(folder)
                self.failure = None
            except Failure as failure:
                self.failure = failure
            except OSError as error:
                self.failure = Failure(f"{folder}: could not upload the checkpoint: {error}")
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def _next(self) -> Path | None:
        """The checkpoint that has waited longest, once there is one; None when all that were added are uploaded."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return self._waiting.pop(0) if self._waiting else None

    def _upload(self, folder: Path) -> None:
        """The file that makes a checkpoint one comes last."""
        files = sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.name == MARKER)
        for path in files:
            self.storage.put_file(f"{FOLDER}/{folder.name}/{path.relative_to(folder).as_posix()}", path)
        there = _files(self.storage)
        newest = max((path.parts[1] for path in there if _makes_whole(path)), default=folder.name)
        for name in sorted({path.parts[1] for path in there} - self._kept - {newest}):
            self.storage.remove(f"{FOLDER}/{name}/{STATE}/{MARKER}")
            self.storage.remove(f"{FOLDER}/{name}")


def remote_checkpoints(storage: Storage) -> list[str]:
    """The names of the whole checkpoints in a store, oldest first."""
    return sorted(path.parts[1] for path in _files(storage) if _makes_whole(path))


def _files(storage: Storage) -> list[PurePosixPath]:
    """Every file of a checkpoint in a store, whole or not."""
    paths = map(PurePosixPath, storage.names(FOLDER))
    return [path for path in paths if len(path.parts) > 2 and path.parts[1].isdecimal()]


def _makes_whole(path: PurePosixPath) -> bool:
    return path.name == MARKER and len(path.parts) == 4


def upload_newest(target: str, out: Path) -> None:
    """Upload the newest checkpoint in `out` unless the store has it. Raises Failure when that does not succeed."""
    uploader, newest = Uploader(target, out), finished_checkpoints(out)[-1]
    if newest.name not in remote_checkpoints(uploader.storage):
        uploader.add(newest)
    uploader.close()


def fetch_newest(target: str, out: Path, retry: Retry) -> None:
    """Fetch the newest checkpoint of a store and the best into `out`, unless `out` has one as new; a store that is away
    is waited for.

    Raises Failure for a store that stays away, and for a disk that cannot hold them.
    """
    storage = Storage(target, SETTING)
    here, there = finished_checkpoints(out), retry.call(lambda: remote_checkpoints(storage))
    if not there or (here and here[-1].name >= there[-1]):
        return
    for name in sorted({there[-1], _best(storage, there, retry)} - {path.name for path in here}):
        folder = f"{FOLDER}/{name}"
        names = retry.call(lambda: storage.names(folder))  # noqa: B023 -- asked here and now
        with saved_whole(out / folder, "checkpoint") as temporary:
            for file in names:
                _fetch(storage, file, temporary / PurePosixPath(file).relative_to(folder), retry)


def _best(storage: Storage, names: list[str], retry: Retry) -> str:
    """Which of a store's checkpoints validated best, as they say themselves; the newest where none was validated."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in names:
            _fetch(storage, f"{FOLDER}/{name}/{STATE}/{MARKER}", Path(scratch, name, STATE, MARKER), retry)
        found = best_checkpoint([Path(scratch, name) for name in names])
        return found.name if found is not None else names[-1]


def _fetch(storage: Storage, name: str, path: Path, retry: Retry) -> None:
    storage.path(name)  # raises for a name that leaves its folder, which a bucket can list
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as copy:
        while part := retry.call(lambda: storage.read_range(name, copy.tell(), PART_BYTES)):
            copy.write(part)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
