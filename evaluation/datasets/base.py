"""The interface of a data set, and what its loaders share."""

import json
import re
from pathlib import Path
from typing import Any, Protocol

from base.errors import Failure, UsageError
from base.storage import reason
from evaluation.truth import TrueObject

UID = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""Uids become names of files and folders."""
MAX_JSON_BYTES = 256 << 20


class DataSet(Protocol):
    """Objects with their truth."""

    def uids(self) -> tuple[str, ...]:
        """Return the uids of all objects here, sorted. Raises UsageError if the folder is no such data set."""
        ...

    def load(self, uid: str) -> TrueObject:
        """Return an object. Its pictures are read later. Raises Failure for a damaged or missing object."""
        ...


def folders_of(root: Path, what: str) -> tuple[str, ...]:
    """Return the names of the folders in `root`, sorted. Raises UsageError without any."""
    found = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    if not found:
        raise UsageError(f"{root}: expected {what}, got {'no folders' if root.is_dir() else 'no such folder'}")
    return tuple(found)


def read_json_file(path: Path, max_bytes: int = MAX_JSON_BYTES) -> Any:
    """Read JSON of a limited size. Raises Failure naming the file."""
    try:
        if path.stat().st_size > max_bytes:
            raise Failure(f"{path}: expected at most {max_bytes >> 20} MiB of JSON")
        return json.loads(path.read_bytes())
    except OSError as error:
        raise Failure(f"{path}: expected JSON, got: {reason(error)}") from None
    except (ValueError, RecursionError):
        raise Failure(f"{path}: expected JSON, got something else") from None


def inside(folder: Path, name: str) -> Path:
    """Return the path of `name` in `folder`. Raises Failure for a name that leaves it."""
    path = folder / name
    # Names come from files of strangers.
    if not name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise Failure(f"{folder}: expected names inside the folder, got {name[:80]!r}")
    return path
