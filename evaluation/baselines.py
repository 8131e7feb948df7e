"""Baselines: answers without a model. Images are uint8, RGBA (H, W, 4) in and RGB (H, W, 3) out."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def on_white(rgba: Image) -> Image:
    """Composite an RGBA image (..., 4) over white; RGB (..., 3)."""
    alpha = rgba[..., 3:].astype(np.float64) / 255.0
    return np.asarray(np.round(rgba[..., :3] * alpha + 255.0 * (1.0 - alpha)), np.uint8)


def white_view(hw: tuple[int, int]) -> Image:
    """Return a white image (H, W, 3)."""
    return np.full((*hw, 3), 255, np.uint8)


def mean_view(views: Sequence[Image]) -> Image:
    """Average views of the object itself, on white. This baseline is hard to beat, because it knows the object."""
    mean = np.mean([on_white(view) for view in views], axis=0, dtype=np.float64)
    return np.asarray(np.round(mean), np.uint8)
