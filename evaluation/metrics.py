"""Metrics of two pictures. Images are uint8 RGB (H, W, 3), masks bool (H, W)."""

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

Image = NDArray[np.uint8]

PSNR_CAP_DB = 100.0
"""The PSNR of two equal images, so that means and JSON stay finite."""


def psnr(image: Image, true: Image) -> float:
    """Peak signal-to-noise ratio in dB over all pixels and channels, at most PSNR_CAP_DB."""
    # Bytes would wrap around below 0.
    error = np.square((image.astype(np.float64) - true.astype(np.float64)) / 255.0).mean()
    return PSNR_CAP_DB if error == 0.0 else min(PSNR_CAP_DB, float(-10.0 * np.log10(error)))


def ssim(image: Image, true: Image) -> float:
    """Structural similarity of Wang et al. (2004): Gaussian window, σ 1.5, mean over pixels and channels."""
    return float(
        structural_similarity(
            image, true, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, channel_axis=-1
        )
    )


def silhouette_iou(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks, in [0, 1]. Two empty masks have 1.0."""
    either = int(np.logical_or(first, second).sum())
    return float(np.logical_and(first, second).sum() / either) if either else 1.0
