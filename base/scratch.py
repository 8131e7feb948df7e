"""Temporary folders that go when their owner is gone, and one beside the place that its contents are meant for.

An owner holds a lock on its folder, which ends with the process: what a killed one left is known by that and removed.
"""

import contextlib
import fcntl
import glob
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from base.storage import TEMPORARY_PREFIX

OPENED = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def create_owned_folder(make: Callable[[], Path]) -> tuple[Path, int]:
    """A new folder of `make`, and the file descriptor that holds its lock; to close it gives the folder up.

    Someone may sweep a folder away in the moment before it is locked: then another one is made.
    """
    while True:
        folder = make()
        try:
            lock = os.open(folder, OPENED)
        except FileNotFoundError:
            continue
        with contextlib.suppress(OSError):  # a disk of another machine may know no such locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        if _is_there(folder, lock):
            return folder, lock
        os.close(lock)


def remove_abandoned(folders: Iterable[Path]) -> None:
    """Remove those of the folders whose owner is gone."""
    for folder in folders:
        _remove_unless_held(folder)


@contextlib.contextmanager
def folder_beside(target: Path) -> Iterator[Path]:
    """A new folder beside `target`; gone afterwards unless it was renamed. What killed owners left there goes too."""
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(target.parent.glob(f"{TEMPORARY_PREFIX}{glob.escape(target.name)}-*/"))
    folder, lock = create_owned_folder(lambda: _made_beside(target))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _made_beside(target: Path) -> Path:
    folder = target.with_name(f"{TEMPORARY_PREFIX}{target.name}-{secrets.token_hex(6)}")
    folder.mkdir()
    return folder


def _is_there(folder: Path, lock: int) -> bool:
    try:
        return os.path.samestat(folder.stat(), os.fstat(lock))
    except FileNotFoundError:
        return False


def _remove_unless_held(folder: Path) -> None:
    try:
        lock = os.open(folder, OPENED)
    except OSError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    else:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
