"""Linux's Landlock: a process gives up every file but those below named folders, for itself and all it starts.

See the kernel's Documentation/userspace-api/landlock.rst. Only the standard library is used here: see `sandbox`.
"""

import ctypes
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""The numbers of the system calls, which all architectures share."""

ASK_VERSION = 1
PATH_BENEATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
IOCTL_DEV = 1 << 15
LIST = READ_DIR
READ = EXECUTE | READ_FILE | READ_DIR
USE = READ_FILE | WRITE_FILE | IOCTL_DEV
WRITE = (1 << 15) - 1
"""What may be done below a folder: see names; read and run; use a device; anything that makes or changes files."""

OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | 1 << 14 | IOCTL_DEV
"""The rights a file can be given. Folders can have more."""

KNOWN = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
"""The rights known to each version of Landlock. Later versions know no more."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("handled_access_fs", ctypes.c_uint64),)


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def restrict(allowed: Mapping[int, Iterable[Path]]) -> bool:
    """Keep only the rights of `allowed` below its folders and files; False, with nothing done, without Landlock.

    Folders that are not there are left out. Raises OSError when the kernel has Landlock and refuses this.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    # Rights unknown to a kernel make it refuse the whole ruleset.
    version = libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ASK_VERSION)
    if version < 1:
        return False
    known = KNOWN[min(version, max(KNOWN))]
    wanted = _Ruleset(known)
    rules = _done(libc.syscall(CREATE_RULESET, ctypes.byref(wanted), ctypes.c_size_t(ctypes.sizeof(wanted)), 0))
    try:
        for rights, paths in allowed.items():
            for path in paths:
                _add(libc, rules, path, rights & known)
        _done(libc.syscall(RESTRICT_SELF, rules, 0))
    finally:
        os.close(rules)
    return True


def _add(libc: ctypes.CDLL, rules: int, path: Path, rights: int) -> None:
    try:
        # O_PATH: a rule needs the name of a folder, not the right to read it.
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        # The kernel refuses a rule for a file with rights that only folders have.
        rights = rights if path.is_dir() else rights & OF_FILES
        rule = _PathBeneath(rights, place)
        _done(libc.syscall(ADD_RULE, rules, PATH_BENEATH, ctypes.byref(rule), 0))
    finally:
        os.close(place)


def _done(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "landlock")
    return result
