"""Pictures in memory as arrays of a model's size; files are read in `photo/`."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Picture: TypeAlias = Image.Image | NDArray[np.uint8]


def rgba_of(picture: Picture, hw: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture, PIL or uint8 (H, W, 3 or 4), as RGBA (*hw, 4), padded with transparency to the shape of `hw`.

    Colours are weighted by alpha while resizing, and no hidden colour bleeds into an edge.
    """
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    wh = (hw[1], hw[0])
    # Untouched: a picture of the right size must keep its exact pixels.
    if image.mode == "RGBA" and image.size == wh:
        return np.asarray(image)
    # RGBa has colours multiplied by alpha.
    scaled = ImageOps.contain(image.convert("RGBA").convert("RGBa"), wh, Image.Resampling.LANCZOS).convert("RGBA")
    canvas = Image.new("RGBA", wh)
    canvas.paste(scaled, ((wh[0] - scaled.width) // 2, (wh[1] - scaled.height) // 2))
    return np.asarray(canvas)
