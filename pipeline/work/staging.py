"""Where finished views wait for the commit that packs them: `staging/<uid>-<fingerprint>/`, whole or not there.

A staged folder holds what the renderer left and `attempt.json`, which is written last and says that it is whole.
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
    """The folder of one object's finished views."""
    return f"{FOLDER}/{uid}-{fingerprint}"


@contextmanager
def work_folder(storage: Storage) -> Iterator[Path]:
    """An empty folder of this attempt's own, on the dataset's disk when that is local; gone afterwards."""
    parent = storage.local_path(WORK) if storage.is_local else Path(tempfile.gettempdir())
    parent.mkdir(parents=True, exist_ok=True)
    folder = parent / f"zero123-{secrets.token_hex(8)}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def stage(storage: Storage, views: Path, attempt: Attempt) -> None:
    """Make a folder of finished views the staged one of its object; nothing happens when it is staged already."""
    name = staged_name(attempt.uid, attempt.fingerprint)
    if not storage.is_local:
        for path in sorted(views.iterdir()):
            storage.put_file(f"{name}/{path.name}", path)
        storage.write(f"{name}/{MARK}", attempt.to_json())
        return
    (views / MARK).write_bytes(attempt.to_json())
    for path in (*views.iterdir(), views):
        flush_to_disk(path)
    target = storage.local_path(name)
    if target.exists() and not (target / MARK).exists():
        shutil.rmtree(target)
    try:
        views.rename(target)
    except OSError:
        if not (target / MARK).exists():
            raise


@contextmanager
def staged_folder(storage: Storage, uid: str, fingerprint: str) -> Iterator[Path]:
    """The staged views of an object as a local folder."""
    name = staged_name(uid, fingerprint)
    if storage.is_local:
        yield storage.local_path(name)
        return
    with work_folder(storage) as folder:
        for file in storage.names(name):
            (folder / Path(file).name).write_bytes(storage.read(file))
        yield folder


def staged_attempts(storage: Storage) -> dict[str, Attempt]:
    """The attempt behind every staged folder that is whole, by folder name."""
    found = {}
    for name in storage.names(FOLDER):
        if name.endswith(f"/{MARK}") and not name.startswith(WORK):
            folder = name.removesuffix(f"/{MARK}")
            try:
                attempt = Attempt.from_json(storage.read(name))
            except ValueError as error:
                raise Failure(f"{storage.root}/{name}: expected the facts of an attempt, got: {error}") from None
            if staged_name(attempt.uid, attempt.fingerprint) == folder:
                found[folder] = attempt
    return found


def clear_work(storage: Storage) -> None:
    """Remove what attempts of a builder that is gone left half done; for the holder of the lease."""
    if storage.is_local:
        storage.remove(WORK)
