"""Views as lossless WebP: decoded to uint8 RGBA, with limits before any pixel is."""

import io
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

MAX_PIXELS = 4096 * 4096
"""The largest view a shard may hold; a bigger one is refused before it is decoded."""

BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
"""What Pillow says of far more pixels than that, the warning where warnings are errors."""

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
        image = Image.open(io.BytesIO(data), formats=[kind])
        if image.width * image.height > MAX_PIXELS:
            raise BadImage(f"expected at most {MAX_PIXELS} pixels, got {image.width}×{image.height}")
        if getattr(image, "n_frames", 1) != 1:
            raise BadImage("expected one picture, got an animation")
        return _decoded(image)
    except UnidentifiedImageError:
        raise BadImage(f"expected a {NAMES[kind]} image, got {len(data)} bytes of something else") from None
    except BadImage:  # says it already
        raise
    except (OSError, SyntaxError, ValueError, EOFError, *BOMBS) as error:
        raise BadImage(f"expected a whole {NAMES[kind]} image, got: {error}") from None


def _decoded(image: Image.Image) -> NDArray[np.uint8]:
    """The pixels of an opened image.

    On the way to numpy Pillow copies WebP's pixels three times, which takes a fifth of the time; its decoder has them
    as they should be, and is asked itself where there is one.
    """
    decoder: Any = getattr(image, "_decoder", None)
    if image.format != "WEBP" or not hasattr(decoder, "get_next"):
        return np.asarray(image if image.mode == "RGBA" else image.convert("RGBA"))
    frame = decoder.get_next()
    if frame is None:
        raise EOFError("pixels that cannot be decoded")
    return np.frombuffer(frame[0], np.uint8).reshape(image.height, image.width, 4)
