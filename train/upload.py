"""Upload checkpoints to a store during training, and fetch them on a machine without them."""

import os
import shutil
import tempfile
import threading
from pathlib import Path, PurePosixPath

from base.errors import Failure
from base.retry import Retry
from base.storage import Storage
from train.state import FOLDER, MARKER, STATE, best_checkpoint, finished_checkpoints
from zero123.saving import save_whole

SETTING = "train.upload"
WAITING = "uploads"
PART_BYTES = 1 << 24
"""Files are fetched in parts of this size, each with retries."""


class Uploader:
    """Uploads complete checkpoints to `target` in a thread, in order. The newest is never skipped.

    `add` links the files, so that the removal of a checkpoint on the disk does not disturb its upload. A checkpoint
    removed while it waits is not uploaded. In the end the store holds the same checkpoints as the disk, and before that
    at least the newest uploaded. A failed upload is only a Failure if it was the last, because a later checkpoint
    replaces it; `upload_newest` repeats it.
    """

    def __init__(self, target: str, out: Path) -> None:
        self.storage, self.out = Storage(target, SETTING), out
        self.failure: Failure | None = None
        self._added: set[str] = set()
        self._kept: frozenset[str] = frozenset()
        self._waiting: list[Path] = []
        self._closed, self._changed = False, threading.Condition()
        # Links left by a killed run; its checkpoints are still in their own folder.
        shutil.rmtree(out / WAITING, ignore_errors=True)
        # A single thread, so that checkpoints arrive in order.
        self._thread = threading.Thread(target=self._work, name="upload", daemon=True)
        self._thread.start()

    def add(self, folder: Path) -> None:
        """Queue a checkpoint for upload, and drop queued checkpoints that were removed from the disk."""
        if folder.name in self._added:
            return
        self._added.add(folder.name)
        linked = self.out / WAITING / folder.name
        shutil.copytree(folder, linked, copy_function=_link)
        with self._changed:
            self._kept = frozenset(path.name for path in finished_checkpoints(self.out))
            dropped = [path for path in self._waiting if path.name not in self._kept]
            self._waiting = [path for path in (*self._waiting, linked) if path not in dropped]
            self._changed.notify()
        for path in dropped:
            shutil.rmtree(path, ignore_errors=True)

    def close(self) -> None:
        """Wait until everything is uploaded. Raises Failure if the last checkpoint could not be uploaded."""
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
        """Wait for the next checkpoint in the queue. None after `close`, when the queue is empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return self._waiting.pop(0) if self._waiting else None

    def _upload(self, folder: Path) -> None:
        # The marker comes last: without it a store has no checkpoint of that name.
        files = sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.name == MARKER)
        for path in files:
            self.storage.put_file(f"{FOLDER}/{folder.name}/{path.relative_to(folder).as_posix()}", path)
        there = _files(self.storage)
        # Never removed, even if it is gone from the disk: until the next upload it is all that the store has.
        newest = max((path.parts[1] for path in there if _is_marker(path)), default=folder.name)
        for name in sorted({path.parts[1] for path in there} - self._kept - {newest}):
            # The marker first: half a removed checkpoint must not count as complete.
            self.storage.remove(f"{FOLDER}/{name}/{STATE}/{MARKER}")
            self.storage.remove(f"{FOLDER}/{name}")


def remote_checkpoints(storage: Storage) -> list[str]:
    """List the complete checkpoints in a store, oldest first."""
    return sorted(path.parts[1] for path in _files(storage) if _is_marker(path))


def _files(storage: Storage) -> list[PurePosixPath]:
    """List the files of all checkpoints in a store, complete or not."""
    paths = map(PurePosixPath, storage.names(FOLDER))
    return [path for path in paths if len(path.parts) > 2 and path.parts[1].isdecimal()]


def _is_marker(path: PurePosixPath) -> bool:
    return path.name == MARKER and len(path.parts) == 4


def upload_newest(target: str, out: Path) -> None:
    """Upload the newest checkpoint in `out` unless the store has it. Raises Failure if that fails."""
    uploader, newest = Uploader(target, out), finished_checkpoints(out)[-1]
    if newest.name not in remote_checkpoints(uploader.storage):
        uploader.add(newest)
    uploader.close()


def fetch_newest(target: str, out: Path, retry: Retry) -> None:
    """Fetch the newest and the best checkpoint of a store into `out`, unless `out` has an equally new checkpoint.

    Requests are repeated by `retry`. Raises Failure if the store stays unavailable, and for a full disk.
    """
    storage = Storage(target, SETTING)
    here, there = finished_checkpoints(out), retry.call(lambda: remote_checkpoints(storage))
    if not there or (here and here[-1].name >= there[-1]):
        return
    for name in sorted({there[-1], _best(storage, there, retry)} - {path.name for path in here}):
        folder = f"{FOLDER}/{name}"
        names = retry.call(lambda: storage.names(folder))  # noqa: B023 -- called at once
        with save_whole(out / folder, "checkpoint") as temporary:
            for file in names:
                _fetch(storage, file, temporary / PurePosixPath(file).relative_to(folder), retry)


def _best(storage: Storage, names: list[str], retry: Retry) -> str:
    """Return the store's checkpoint with the best validation, or the newest without validations."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in names:
            _fetch(storage, f"{FOLDER}/{name}/{STATE}/{MARKER}", Path(scratch, name, STATE, MARKER), retry)
        found = best_checkpoint([Path(scratch, name) for name in names])
        return found.name if found is not None else names[-1]


def _fetch(storage: Storage, name: str, path: Path, retry: Retry) -> None:
    storage.path(name)  # raises for a name outside the folder; a bucket can list any name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as copy:
        while part := retry.call(lambda: storage.read_range(name, copy.tell(), PART_BYTES)):
            copy.write(part)


def _link(source: str, target: str) -> None:
    try:
        # Links cost no space, and survive the removal of the checkpoint.
        os.link(source, target)
    except OSError:
        # Some file systems know no links.
        shutil.copyfile(source, target)
