"""Peak signal-to-noise ratio. Values are in [0, 1], (H, W, 3); equal pictures have an infinite PSNR."""

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating]
Mask = NDArray[np.bool_]

CO3D_FLOOR = 1e-10
"""The least mean squared error of the CO3D challenge: 100 dB."""


def psnr_db(image: Values, true: Values) -> float:
    """Return −10 log10 of the mean squared error over all pixels and channels, in dB."""
    return _db(float(np.square(image.astype(np.float64) - true.astype(np.float64)).mean()))


def foreground_psnr_db(image: Values, true: Values, mask: Mask) -> float:
    """Return the PSNR over the pixels of a true mask (H, W). NaN for an empty mask: nothing is measured."""
    if not mask.any():
        return float("nan")
    return psnr_db(image[mask], true[mask])


def co3d_psnr_db(image: Values, true: Values, mask: Mask, *, over: str) -> float:
    """Return the PSNR of the CO3D challenge (challenge/metric_utils.py), at most 100 dB.

    `over` is `masked`, where the truth is black outside the mask and all pixels count; `foreground`, where only the
    mask counts; or `full`.
    """
    squared = np.square(
        image.astype(np.float64) - true.astype(np.float64) * (mask[..., None] if over == "masked" else 1)
    )
    if over == "foreground":
        squared = squared[mask]
    # Without a foreground there is no mean; an error of 1 is 0 dB.
    return _db(max(float(squared.mean()) if squared.size else 1.0, CO3D_FLOOR))


def mask_iou(mask: Mask, true: Mask) -> float:
    """Return intersection over union of two masks (H, W), in [0, 1]. Two empty masks have 1."""
    union = int(np.logical_or(mask, true).sum())
    return int(np.logical_and(mask, true).sum()) / union if union else 1.0


def _db(mean_squared_error: float) -> float:
    return float("inf") if mean_squared_error == 0.0 else float(-10.0 * np.log10(mean_squared_error))
