"""A picture from a person, made into what the model sees: square, RGBA, at the model's size."""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from base.errors import UsageError
from base.storage import reason

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 64_000_000
MAX_BYTES = 64 << 20


def load_photo(path: Path, hw: tuple[int, int]) -> NDArray[np.uint8]:
    """The picture in a PNG, JPEG or WebP file as RGBA (H, W, 4) of `hw`.

    A picture of another shape is padded with transparency, never cropped or stretched; one without alpha is opaque.
    Raises UsageError for a file that is missing, too large, or no such picture.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{path}: expected a picture of at most {MAX_BYTES >> 20} MiB")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is ours and strict
            with Image.open(path, formats=FORMATS) as picture:
                return _fitted(_checked(path, picture), hw)
    except UnidentifiedImageError:
        raise UsageError(f"{path}: expected a PNG, JPEG or WebP picture, got something else") from None
    except OSError as error:
        raise UsageError(f"{path}: expected a readable picture, got: {reason(error)}") from None
    except (SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UsageError(f"{path}: expected a readable picture, got: {error}") from None


def _checked(path: Path, picture: Image.Image) -> Image.Image:
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise UsageError(f"{path}: expected at most {MAX_PIXELS // 1_000_000} megapixels, got {width} × {height}")
    return ImageOps.exif_transpose(picture).convert("RGBA")


def _fitted(picture: Image.Image, hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Colours are weighted by alpha while resizing, so that no hidden colour bleeds into an edge."""
    wh = (hw[1], hw[0])
    scaled = ImageOps.contain(picture.convert("RGBa"), wh, Image.Resampling.LANCZOS).convert("RGBA")
    canvas = Image.new("RGBA", wh)
    canvas.paste(scaled, ((wh[0] - scaled.width) // 2, (wh[1] - scaled.height) // 2))
    return np.asarray(canvas)
