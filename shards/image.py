"""Views as lossless WebP: decoded to uint8 RGBA, with limits before any pixel is."""

import io
import warnings
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

MAX_PIXELS = 4096 * 4096
"""The largest view a shard may hold; a bigger one is refused before it is decoded."""

NAMES = {"WEBP": "WebP", "PNG": "PNG"}


class BadImage(ValueError):
    """Bytes that are not a view; says what was expected and what was got."""


def encode_rgba(rgba: NDArray[np.uint8]) -> bytes:
    """uint8 RGBA (H, W, 4) as lossless WebP bytes that keep every value, also where alpha is 0."""
    stream = io.BytesIO()
    Image.fromarray(rgba, "RGBA").save(stream, "WEBP", lossless=True, quality=75, method=4, exact=True)
    return stream.getvalue()


def decode_rgba(data: bytes, kind: Literal["WEBP", "PNG"] = "WEBP") -> NDArray[np.uint8]:
    """The uint8 RGBA (H, W, 4) of an image's bytes. Raises BadImage for another format, too many pixels or damage."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=[kind])
        if image.width * image.height > MAX_PIXELS:
            raise BadImage(f"expected at most {MAX_PIXELS} pixels, got {image.width}×{image.height}")
        if getattr(image, "n_frames", 1) != 1:
            raise BadImage("expected one picture, got an animation")
        return np.asarray(image.convert("RGBA"))
    except UnidentifiedImageError:
        raise BadImage(f"expected a {NAMES[kind]} image, got {len(data)} bytes of something else") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, BadImage):
            raise
        raise BadImage(f"expected a whole {NAMES[kind]} image, got: {error}") from None
