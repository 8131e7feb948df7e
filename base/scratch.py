"""Temporary folders, removed after their owner has ended, even if it was killed.

An owner holds a lock on its folder. The lock ends with the process, so an unlocked folder is an abandoned folder.
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

# No links: in a shared temporary folder another user could point one at our files. Closed on exec, or a child would
# hold the lock after our end.
OPENED = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def create_owned_folder(make: Callable[[], Path]) -> tuple[Path, int]:
    """Create a folder with `make` and lock it; return it with the file descriptor of its lock.

    Closing the descriptor abandons the folder. Another process may remove the folder in the moment before it is locked.
    In that case a new folder is made.
    """
    while True:
        folder = make()
        try:
            lock = os.open(folder, OPENED)
        except FileNotFoundError:
            continue
        with contextlib.suppress(OSError):  # a network file system may not support locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        # Between making and locking, another process may have taken the folder for abandoned.
        if _is_there(folder, lock):
            return folder, lock
        os.close(lock)


def remove_abandoned(folders: Iterable[Path]) -> None:
    """Remove the given folders, except those with a living owner."""
    for folder in folders:
        _remove_unless_held(folder)


@contextlib.contextmanager
def folder_beside(target: Path) -> Iterator[Path]:
    """Make a folder beside `target`; remove it after the block unless it was renamed. Removes abandoned folders too."""
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(target.parent.glob(f"{TEMPORARY_PREFIX}{glob.escape(target.name)}-*/"))
    folder, lock = create_owned_folder(lambda: _make_beside(target))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _make_beside(target: Path) -> Path:
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
