"""Views as lossless WebP. Limits are checked before any pixel is decoded."""

import io
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

MAX_PIXELS = 4096 * 4096
"""The most pixels of a view in a shard. Larger views are refused before they are decoded."""

BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
"""What Pillow raises for images with far more pixels (the warning, if warnings are errors)."""

NAMES = {"WEBP": "WebP", "PNG": "PNG"}


class BadImage(ValueError):
    """Bytes are not a valid view. The message says what was expected and what was got."""


def encode_rgba(rgba: NDArray[np.uint8]) -> bytes:
    """Encode uint8 RGBA (H, W, 4) as lossless WebP. Colours are kept also where alpha is 0."""
    stream = io.BytesIO()
    # For lossless WebP, `quality` is the effort of compression.
    Image.fromarray(rgba, "RGBA").save(stream, "WEBP", lossless=True, quality=75, method=4, exact=True)
    return stream.getvalue()


def decode_rgba(data: bytes, kind: Literal["WEBP", "PNG"] = "WEBP") -> NDArray[np.uint8]:
    """Decode an image to uint8 RGBA (H, W, 4). Raises BadImage for another format, too many pixels or damage."""
    try:
        # A single format: Pillow has dozens of decoders, and data of strangers should reach as few as possible.
        image = Image.open(io.BytesIO(data), formats=[kind])
        if image.width * image.height > MAX_PIXELS:
            raise BadImage(f"expected at most {MAX_PIXELS} pixels, got {image.width}×{image.height}")
        # Each frame could be large, and only the first counts as a view.
        if getattr(image, "n_frames", 1) != 1:
            raise BadImage("expected a still picture, got an animation")
        return _decode(image)
    except UnidentifiedImageError:
        raise BadImage(f"expected a {NAMES[kind]} image, got {len(data)} bytes of something else") from None
    except BadImage:  # a ValueError with a complete message
        raise
    except (OSError, SyntaxError, ValueError, EOFError, *BOMBS) as error:
        raise BadImage(f"expected a whole {NAMES[kind]} image, got: {error}") from None


def _decode(image: Image.Image) -> NDArray[np.uint8]:
    """Decode the pixels of an opened image."""
    # Pillow copies WebP's pixels three times on the way to numpy, a fifth of the time; its decoder has them as needed.
    decoder: Any = getattr(image, "_decoder", None)
    if image.format != "WEBP" or not hasattr(decoder, "get_next"):
        return np.asarray(image if image.mode == "RGBA" else image.convert("RGBA"))
    frame = decoder.get_next()
    if frame is None:
        raise EOFError("pixels that cannot be decoded")
    return np.frombuffer(frame[0], np.uint8).reshape(image.height, image.width, 4)
