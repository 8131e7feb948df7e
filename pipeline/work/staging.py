"""Staging: finished views wait in `staging/<uid>-<fingerprint>/` until they are packed.

A staged folder holds the renderer's files and `attempt.json`, written last: with it, the folder is complete.
"""

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from base.errors import Failure
from base.storage import TEMPORARY_PREFIX, Storage, flush_to_disk
from pipeline.catalog.rows import Attempt

FOLDER, MARK = "staging", "attempt.json"
WORK = f"{FOLDER}/{TEMPORARY_PREFIX}work"


def staged_name(uid: str, fingerprint: str) -> str:
    """Name the folder of an object's finished views."""
    return f"{FOLDER}/{uid}-{fingerprint}"


@contextmanager
def work_folder(storage: Storage) -> Iterator[Path]:
    """Make an empty folder for an attempt, on the dataset's disk if that is local. It is removed afterwards."""
    # On the same disk, because the finished views are moved by a rename.
    parent = storage.local_path(WORK) if storage.is_local else Path(tempfile.gettempdir())
    parent.mkdir(parents=True, exist_ok=True)
    folder = parent / f"zero123-{secrets.token_hex(8)}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def stage(storage: Storage, views: Path, attempt: Attempt) -> None:
    """Move finished views into staging. Views staged already stay."""
    name = staged_name(attempt.uid, attempt.fingerprint)
    if not storage.is_local:
        for path in sorted(views.iterdir()):
            storage.put_file(f"{name}/{path.name}", path)
        # Last, after every file: an object store has no rename, so this file completes the folder.
        storage.write(f"{name}/{MARK}", attempt.to_json())
        return
    (views / MARK).write_bytes(attempt.to_json())
    # Before the rename: after a power cut, a folder of that name must be complete.
    for path in (*views.iterdir(), views):
        flush_to_disk(path)
    target = storage.local_path(name)
    # Without its mark a folder is incomplete, and would block every later rename.
    if target.exists() and not (target / MARK).exists():
        shutil.rmtree(target)
    try:
        views.rename(target)
    except OSError:
        # Another worker was first. The fingerprint is the same, so the bytes are too.
        if not (target / MARK).exists():
            raise


@contextmanager
def staged_folder(storage: Storage, uid: str, fingerprint: str) -> Iterator[Path]:
    """Provide the staged views of an object as a local folder."""
    name = staged_name(uid, fingerprint)
    if storage.is_local:
        yield storage.local_path(name)
        return
    with work_folder(storage) as folder:
        for file in storage.names(name):
            (folder / Path(file).name).write_bytes(storage.read(file))
        yield folder


def staged_attempts(storage: Storage) -> dict[str, Attempt]:
    """Read the attempt of every complete staged folder, by folder name."""
    found = {}
    for name in storage.names(FOLDER):
        if name.endswith(f"/{MARK}") and not name.startswith(WORK):
            folder = name.removesuffix(f"/{MARK}")
            try:
                attempt = Attempt.from_json(storage.read(name))
            except ValueError as error:
                raise Failure(f"{storage.root}/{name}: expected the facts of an attempt, got: {error}") from None
            # A folder moved by hand would be packed under the wrong name.
            if staged_name(attempt.uid, attempt.fingerprint) == folder:
                found[folder] = attempt
    return found


def clear_work(storage: Storage) -> None:
    """Remove unfinished work of earlier builders. Only the holder of the lease may call this."""
    if storage.is_local:
        storage.remove(WORK)
