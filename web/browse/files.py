"""Files of browsed folders: JSON and pictures, never trusted, and never sent as they are."""

import json
from collections.abc import Iterator
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from base.errors import Failure
from report.images import encode_image, shrink
from shards.image import BadImage, decode_rgba

MAX_JSON_BYTES, MAX_PICTURE_BYTES = 64 << 20, 64 << 20
QUALITY = 86
DECODING = BoundedSemaphore(4)
"""A picture may have 16 million pixels, and requests dozens of threads."""


def inside(folder: Path, name: str) -> Path:
    """Return the path of a file of `folder`. Raises Failure for a file that is missing or leads outside."""
    path = folder / name
    if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
        raise Failure(f"{path}: expected a file inside its folder, got none")
    return path


def read_json(folder: Path, name: str) -> Any:
    """Read a JSON file of at most 64 MiB. Raises Failure."""
    data = _read(inside(folder, name), MAX_JSON_BYTES)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Failure(f"{folder / name}: expected JSON, got: {error}") from None


def read_json_lines(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    """Read the whole lines of a log, none without such a file. Lines that are no JSON objects are left out."""
    if not (folder / name).exists():
        return
    for line in _read(inside(folder, name), MAX_JSON_BYTES).splitlines(keepends=True):
        try:
            value = json.loads(line) if line.endswith(b"\n") else None
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            yield value


def picture_of_file(folder: Path, name: str, kind: Literal["WEBP", "PNG"], longest_px: int) -> bytes:
    """Decode a picture and encode it again as WebP. Raises Failure for anything else."""
    data = _read(inside(folder, name), MAX_PICTURE_BYTES)
    with DECODING:
        try:
            return picture_bytes(decode_rgba(data, kind), longest_px)
        except BadImage as error:
            raise Failure(f"{folder / name}: {error}") from None


def picture_bytes(rgba: NDArray[np.uint8], longest_px: int) -> bytes:
    """Encode pixels (H, W, 4) as WebP, at most `longest_px` wide and high."""
    return encode_image(Image.fromarray(shrink(rgba, longest_px)), "webp", QUALITY)


def _read(path: Path, most: int) -> bytes:
    if (size := path.stat().st_size) > most:
        raise Failure(f"{path}: expected at most {most >> 20} MiB, got {size >> 20} MiB")
    return path.read_bytes()
