"""Models on the disk are whole or not there: written under a temporary name, flushed, then renamed."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from base.errors import Failure
from base.storage import TEMPORARY_PREFIX, flush_to_disk, reason


@contextmanager
def save_whole(path: Path, what: str) -> Iterator[Path]:
    """Where to write the file or folder that is at `path` once the block has ended.

    Raises Failure, naming `what` it is, when it cannot be written; nothing of it stays then.
    """
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{path.name}")
    try:
        _remove(temporary)
        yield temporary
        # Before the rename: after a power cut the name must not lead to empty files.
        for written in (*temporary.rglob("*"), temporary):
            flush_to_disk(written)
        temporary.rename(path)
    except (OSError, SafetensorError) as error:
        raise Failure(f"{path}: could not write the {what}: {_reason(error)}") from None
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _reason(error: OSError | SafetensorError) -> str:
    if isinstance(error, OSError):
        return reason(error)
    # safetensors keeps only Rust's text of the system's error.
    number = re.search(r"os error (\d+)", str(error))
    return reason(OSError(int(number[1]), os.strerror(int(number[1])))) if number else str(error)
