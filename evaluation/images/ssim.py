"""Structural similarity (Wang et al. 2004) in the five variants of published evaluations.

A variant is a window, a covariance (population, or sample with N / (N − 1)), a data range and a border. The variants
differ by up to .06 on the same pictures, so a figure without its variant cannot be compared.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

Values = NDArray[np.floating]
Floats = NDArray[np.float64]

K1, K2 = 0.01, 0.03
GAUSS_SIGMA, GAUSS_RADIUS = 1.5, 5


@dataclass(frozen=True, kw_only=True)
class SsimVariant:
    """`window` weights (N,) along each axis; `per_image_range` measures the data range in the pictures themselves.

    With `whole_border` the pictures are mirrored at their border and all pixels count. Otherwise only pixels with a
    whole window count.
    """

    window: tuple[float, ...]
    sample_covariance: bool = False
    per_image_range: bool = False
    whole_border: bool = False


def _gauss() -> tuple[float, ...]:
    weights = np.exp(-0.5 * np.square(np.arange(-GAUSS_RADIUS, GAUSS_RADIUS + 1) / GAUSS_SIGMA))
    return tuple((weights / weights.sum()).tolist())


def _uniform(width: int) -> tuple[float, ...]:
    return (1.0 / width,) * width


SsimName = Literal["gauss", "tm-old", "tm-new", "uniform7", "uniform11"]

SSIM_VARIANTS: dict[SsimName, SsimVariant] = {
    # scikit-image with gaussian_weights, sigma 1.5 and population covariance: the paper of 2004.
    "gauss": SsimVariant(window=_gauss()),
    # torchmetrics up to 1.4.1 without data_range: SyncDreamer, HarmonyView.
    "tm-old": SsimVariant(window=_gauss(), per_image_range=True),
    # torchmetrics from 1.4.2 without data_range.
    "tm-new": SsimVariant(window=_gauss(), per_image_range=True, whole_border=True),
    # scikit-image's defaults: EscherNet, DietNeRF, pixelNeRF.
    "uniform7": SsimVariant(window=_uniform(7), sample_covariance=True),
    # scikit-image with win_size 11: Free3D.
    "uniform11": SsimVariant(window=_uniform(11), sample_covariance=True),
}


def ssim(image: Values, true: Values, name: SsimName = "gauss") -> float:
    """Return the SSIM variant `name` of two pictures with values in [0, 1], (H, W, 3); 1 if they are equal.

    Raises ValueError for pictures smaller than the window.
    """
    variant, a, b = SSIM_VARIANTS[name], image.astype(np.float64), true.astype(np.float64)
    half = len(variant.window) // 2
    if min(a.shape[:2]) < len(variant.window):
        raise ValueError(f"expected pictures of at least {len(variant.window)} pixels, got {a.shape[:2]}")
    map_ = _ssim_map(a, b, variant)
    if not variant.whole_border:
        # Nearer to the border the window reaches beyond the picture.
        map_ = map_[half:-half, half:-half]
    return float(map_.mean())


def _ssim_map(a: Floats, b: Floats, variant: SsimVariant) -> Floats:
    data_range = max(float(np.ptp(a)), float(np.ptp(b))) if variant.per_image_range else 1.0
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    mean_a, mean_b = _windowed(a, variant), _windowed(b, variant)
    pixels = len(variant.window) ** 2
    scale = pixels / (pixels - 1) if variant.sample_covariance else 1.0
    variance_a = scale * (_windowed(a * a, variant) - mean_a**2)
    variance_b = scale * (_windowed(b * b, variant) - mean_b**2)
    covariance = scale * (_windowed(a * b, variant) - mean_a * mean_b)
    if variant.whole_border:  # the release with mirrored borders also clamps rounding errors below 0
        variance_a, variance_b = np.maximum(variance_a, 0.0), np.maximum(variance_b, 0.0)
    above = (2.0 * mean_a * mean_b + c1) * (2.0 * covariance + c2)
    below = (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    # Two pictures of a single colour have no range, and both terms are the same.
    return np.divide(above, below, out=np.ones_like(above), where=below > 0.0)


def _windowed(values: Floats, variant: SsimVariant) -> Floats:
    window = np.asarray(variant.window)
    rows = correlate1d(values, window, axis=0, mode="mirror")
    return np.asarray(correlate1d(rows, window, axis=1, mode="mirror"))
