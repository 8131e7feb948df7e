"""Where a picture comes from: a file, or standard input. Bytes are read under a limit, before anything is decoded."""

import re
import sys
from pathlib import Path
from typing import BinaryIO

from base.errors import UsageError
from base.storage import reason
from photo.settings import LimitSettings

STANDARD_INPUT = "-"


def read_bytes(source: str | Path, limits: LimitSettings) -> bytes:
    """The bytes of the picture file `source`, or of standard input for `-`.

    Raises UsageError for a URL, a folder, and a missing, unreadable, empty or too large file.
    """
    if str(source) == STANDARD_INPUT:
        return _limited("standard input", sys.stdin.buffer, limits)
    if is_url(str(source)):
        raise UsageError(f"{source}: expected a picture file, got a URL: download it first, or pipe it into `-`")
    path = Path(source)
    if path.is_dir():
        raise UsageError(f"{path}: expected a picture file, got a folder")
    try:
        with path.open("rb") as file:
            return _limited(str(path), file, limits)
    except OSError as error:
        raise UsageError(f"{path}: expected a readable picture, got: {reason(error)}") from None


def is_url(text: str) -> bool:
    """Say whether a text has the form `scheme://…`; a Windows drive has not."""
    return re.match(r"[a-z][a-z0-9+.-]+:/", text, re.IGNORECASE) is not None


def _limited(name: str, file: BinaryIO, limits: LimitSettings) -> bytes:
    most = limits.megabytes << 20
    # A byte more, to see whether the file goes on.
    data = file.read(most + 1)
    if len(data) > most:
        raise UsageError(f"{name}: expected a picture of at most {limits.megabytes} MiB, got more")
    if not data:
        raise UsageError(f"{name}: expected a picture, got an empty file")
    return data
