"""Colours as light and as pictures store them (IEC 61966-2-1, sRGB)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def linear_from_srgb(srgb: ArrayLike) -> NDArray[np.float64]:
    """Convert stored values, 0 to 1, to linear light, 0 to 1."""
    srgb = np.asarray(srgb, np.float64)
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def srgb_from_linear(linear: ArrayLike) -> NDArray[np.float64]:
    """Convert linear light to stored values, 0 to 1; light outside 0 to 1 is clipped."""
    # `np.where` computes both branches: the clip also keeps negative numbers out of the power, whose result is NaN.
    linear = np.clip(np.asarray(linear, np.float64), 0.0, 1.0)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
