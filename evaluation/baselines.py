"""Answers to "how does the object look from there" that need no model. Images are uint8; RGBA (H, W, 4) in, RGB out."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def on_white(rgba: Image) -> Image:
    """An RGBA image (..., 4) over white, as RGB (..., 3)."""
    alpha = rgba[..., 3:].astype(np.float64) / 255.0
    return np.asarray(np.round(rgba[..., :3] * alpha + 255.0 * (1.0 - alpha)), np.uint8)


def white(hw: tuple[int, int]) -> Image:
    """Nothing at all."""
    return np.full((*hw, 3), 255, np.uint8)


def mean_view(views: Sequence[Image]) -> Image:
    """The mean, on white, of views of the object itself; a harder answer, since it knows the object."""
    mean = np.mean([on_white(view) for view in views], axis=0, dtype=np.float64)
    return np.asarray(np.round(mean), np.uint8)
