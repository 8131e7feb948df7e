"""A picture file as pixels: every common kind, checked before it is decoded."""

import io
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from base.digest import sha256_bytes
from base.errors import UsageError
from base.storage import reason
from photo.colours import srgb_from_any
from photo.heic import is_heic, open_heic
from photo.settings import LimitSettings
from photo.source import STANDARD_INPUT, read_bytes

FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM")
NAMES = "PNG, JPEG, WebP, AVIF, HEIC, TIFF, BMP or GIF"
SMALLEST_PX = 8
"""A side with fewer pixels shows nothing to sample from."""


@dataclass(frozen=True)
class Photo:
    """A picture as it was taken: `rgba` uint8 (H, W, 4) in sRGB, and `sha256` of the file's bytes.

    `notes` says what the reader left out, such as the other frames of an animation.
    """

    name: str
    rgba: NDArray[np.uint8]
    sha256: str
    notes: tuple[str, ...] = field(default=())


def read_photo(source: str | Path, limits: LimitSettings) -> Photo:
    """The upright picture in a file, or in standard input for `-`; of an animation the first frame.

    Raises UsageError for a file other than a picture, a damaged or too large file, and a picture smaller than 8 px or
    transparent everywhere.
    """
    name = "standard input" if str(source) == STANDARD_INPUT else str(source)
    return photo_of_bytes(name, read_bytes(source, limits), limits)


def photo_of_bytes(name: str, data: bytes, limits: LimitSettings) -> Photo:
    """As `read_photo`, for the bytes of a file; `name` is for the errors."""
    rgba, notes = decode(name, data, limits)
    if min(rgba.shape[:2]) < SMALLEST_PX:
        raise UsageError(
            f"{name}: expected a picture of at least {SMALLEST_PX} × {SMALLEST_PX}, "
            f"got {rgba.shape[1]} × {rgba.shape[0]}"
        )
    if not rgba[..., 3].any():
        raise UsageError(f"{name}: expected a picture of an object, got a fully transparent picture")
    return Photo(name, rgba, sha256_bytes(data), notes)


def decode(name: str, data: bytes, limits: LimitSettings) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """The pixels (H, W, 4) of the file's bytes and notes on them; `name` is for the errors (see `read_photo`)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our limit is stricter than Pillow's, and odd metadata is harmless
            with _opened(name, data) as picture:
                # The size comes from the header. Decoding, and with it the memory, starts only below this line.
                _check_pixels(name, picture, limits)
                frames = int(getattr(picture, "n_frames", 1))
                picture.seek(0)
                # Phones store the sensor's picture and its rotation as a tag.
                upright = ImageOps.exif_transpose(picture)
                return srgb_from_any(upright), _notes(picture, frames)
    except UnidentifiedImageError:
        raise UsageError(f"{name}: expected a {NAMES} picture, got something else") from None
    except OSError as error:
        raise UsageError(f"{name}: expected a whole picture, got: {reason(error)}") from None
    # Pillow's decoders raise all of these for damaged files.
    except (SyntaxError, ValueError, EOFError, OverflowError, Image.DecompressionBombError) as error:
        raise UsageError(f"{name}: expected a whole picture, got: {error}") from None


def _opened(name: str, data: bytes) -> Image.Image:
    if is_heic(data):
        return open_heic(name, data)
    # By default Pillow tries every decoder it has; a short list gives hostile files less to attack.
    return Image.open(io.BytesIO(data), formats=FORMATS)


def _check_pixels(name: str, picture: Image.Image, limits: LimitSettings) -> None:
    width, height = picture.size
    if width * height > limits.megapixels * 1_000_000:
        raise UsageError(f"{name}: expected at most {limits.megapixels} megapixels, got {width} × {height}")


def _notes(picture: Image.Image, frames: int) -> tuple[str, ...]:
    animated = frames > 1 and picture.format in ("GIF", "WEBP", "PNG", "AVIF", "TIFF")
    return (f"the first of {frames} frames is used",) if animated else ()
