"""Arrays as pictures inside a page: data URIs, and compositing on a plain or chequered ground.

Images are uint8 (H, W, 3) or (H, W, 4) with straight (not premultiplied) alpha.
"""

import base64
import io
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
CHECKER_PX = 8
CHECKER_LEVELS = (255, 224)


def check_pixels(pixels: Pixels) -> Pixels:
    """Return `pixels` if they are uint8 (H, W, 3 or 4) with at least one pixel. Raises ValueError otherwise."""
    array = np.asarray(pixels)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] not in (3, 4) or 0 in array.shape:
        raise ValueError(f"expected a uint8 image (H, W, 3 or 4), got {array.dtype} {array.shape}")
    return array


def checker(hw: tuple[int, int]) -> Pixels:
    """Make a chequered ground (H, W, 3) with a light square in the top-left corner."""
    rows, columns = np.indices(hw) // CHECKER_PX
    return np.repeat(np.array(CHECKER_LEVELS, np.uint8)[(rows + columns) % 2][..., None], 3, axis=2)


def composite(pixels: Pixels, ground: Pixels | int = 255) -> Pixels:
    """Composite RGBA pixels (H, W, 4) over a grey level or an image (H, W, 3), rounded to nearest; RGB is kept."""
    pixels = check_pixels(pixels)
    if pixels.shape[2] == 3:
        return pixels
    alpha = pixels[..., 3:].astype(np.uint32)
    below = np.broadcast_to(np.asarray(ground, np.uint32), pixels[..., :3].shape)
    # Half of 255 is added before the division, which would otherwise cut.
    mixed = (pixels[..., :3] * alpha + below * (255 - alpha) + 127) // 255
    return mixed.astype(np.uint8)


def shrink(pixels: Pixels, longest_px: int) -> Pixels:
    """Shrink `pixels` until the longer edge is at most `longest_px`, weighting colour by alpha; never enlarge."""
    height, width = check_pixels(pixels).shape[:2]
    scale = longest_px / max(height, width)
    if scale >= 1.0:
        return pixels
    wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Pillow resizes RGBA premultiplied, so colours of hidden pixels do not bleed into the edge.
    return np.asarray(Image.fromarray(pixels).resize(wh, Image.Resampling.LANCZOS))


def encode_image(image: Image.Image, kind: Literal["webp", "png"] = "webp", quality: int | None = None) -> bytes:
    """Encode an image file; lossless (every RGBA value kept) unless a WebP `quality` in 0–100 is given."""
    stream = io.BytesIO()
    if kind == "png":
        image.save(stream, "PNG", optimize=True)
    elif quality is None:
        # `exact` keeps the colours of transparent pixels, which WebP otherwise changes.
        image.save(stream, "WEBP", lossless=True, exact=True, method=4)
    else:
        image.save(stream, "WEBP", quality=quality, method=5)
    return stream.getvalue()


def data_uri(data: bytes, media_type: str) -> str:
    """Make a `data:` URI of `media_type`."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"


def image_uri(image: Pixels | Image.Image, kind: Literal["webp", "png"] = "webp", quality: int | None = None) -> str:
    """Make a data URI of an image; lossless unless a WebP `quality` is given."""
    picture = image if isinstance(image, Image.Image) else Image.fromarray(check_pixels(image))
    return data_uri(encode_image(picture, kind, quality), f"image/{kind}")
