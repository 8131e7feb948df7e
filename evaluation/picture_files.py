"""Pictures from strangers: size, depth and kind are checked in the header, before a pixel is decoded."""

import io
import struct
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from base.errors import Failure
from base.storage import reason

Pixels = NDArray[np.uint8]

FORMATS = ("PNG", "WEBP", "JPEG")
SUFFIXES = (".png", ".webp", ".jpg", ".jpeg")
MAX_BYTES = 64 << 20
MAX_PIXELS = 64_000_000
PNG_START = b"\x89PNG\r\n\x1a\n"
PNG_KINDS = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGBA"}


def read_picture(path: Path, hw: tuple[int, int] | None = None) -> Pixels:
    """Read a picture of 8 bits a channel as uint8 RGB or RGBA (H, W, 3 or 4), of exactly `hw` if given.

    Raises Failure, in a sentence, for a missing, damaged or oversized file, another size, 16 bits, or a palette.
    """
    data = _read_bytes(path)
    _check_png(path, data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our limit is stricter than Pillow's
            with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
                _check_size(path, (picture.height, picture.width), hw)
                if picture.mode not in ("RGB", "RGBA"):
                    raise Failure(f"{path}: expected RGB or RGBA with 8 bits a channel, got mode {picture.mode}")
                return np.asarray(picture)
    except UnidentifiedImageError:
        raise Failure(f"{path}: expected a whole PNG, WebP or JPEG, got something else") from None
    except OSError as error:
        raise Failure(f"{path}: expected a whole PNG, WebP or JPEG, got: {reason(error)}") from None
    except (SyntaxError, ValueError, EOFError, OverflowError, Image.DecompressionBombError) as error:
        raise Failure(f"{path}: expected a whole PNG, WebP or JPEG, got: {error}") from None


def find_picture(folder: Path, stem: str) -> Path:
    """Return the picture `stem` of a folder, whatever its kind; the PNG's path if there is none."""
    return next((path for suffix in SUFFIXES if (path := folder / f"{stem}{suffix}").is_file()), folder / f"{stem}.png")


def read_depth_png(path: Path, hw: tuple[int, int]) -> NDArray[np.uint16]:
    """Read a 16-bit grey PNG (H, W) of exactly `hw`. Raises Failure for anything else."""
    data = _read_bytes(path)
    # Bytes 24 and 25 of a PNG are its bit depth and colour type; 0 is grey.
    if data[:8] != PNG_START or len(data) < 33 or (data[24], data[25]) != (16, 0):
        raise Failure(f"{path}: expected a grey PNG with 16 bits, got something else")
    # The header holds width before height.
    _check_size(path, struct.unpack(">II", data[16:24])[::-1], hw)
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
            return np.asarray(picture).astype(np.uint16)
    except (OSError, SyntaxError, ValueError) as error:
        raise Failure(f"{path}: expected a whole PNG, got: {error}") from None


def read_mask(path: Path, hw: tuple[int, int]) -> Pixels:
    """Read a mask PNG of 1 or 8 bits as uint8 (H, W), 0 to 255. Raises Failure for anything else."""
    data = _read_bytes(path)
    if data[:8] != PNG_START or len(data) < 33 or data[25] != 0 or data[24] not in (1, 8):
        raise Failure(f"{path}: expected a grey PNG with 1 or 8 bits, got something else")
    _check_size(path, struct.unpack(">II", data[16:24])[::-1], hw)
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
            return np.asarray(picture.convert("L"))
    except (OSError, SyntaxError, ValueError) as error:
        raise Failure(f"{path}: expected a whole PNG, got: {error}") from None


def _read_bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Failure(f"{path}: expected at most {MAX_BYTES >> 20} MiB, got {path.stat().st_size >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise Failure(f"{path}: expected a picture, got: {reason(error)}") from None


def _check_png(path: Path, data: bytes) -> None:
    # Pillow reads 16 bits a channel as 8 without a word.
    if data[:8] == PNG_START and len(data) > 25:
        bits, kind = data[24], PNG_KINDS.get(data[25], "unknown")
        if kind not in ("RGB", "RGBA") or bits != 8:
            raise Failure(f"{path}: expected RGB or RGBA with 8 bits a channel, got {kind} with {bits} bits")
        _check_size(path, struct.unpack(">II", data[16:24])[::-1], None)


def _check_size(path: Path, got: tuple[int, int], hw: tuple[int, int] | None) -> None:
    if got[0] * got[1] > MAX_PIXELS:
        raise Failure(f"{path}: expected at most {MAX_PIXELS // 1_000_000} megapixels, got {got[1]} × {got[0]}")
    if hw is not None and got != hw:
        raise Failure(f"{path}: expected a picture of {hw[1]} × {hw[0]}, got {got[1]} × {got[0]}")
