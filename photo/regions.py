"""Connected regions of masks: bool (H, W), neighbours by edges unless said."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Bools = NDArray[np.bool_]
EIGHT = np.ones((3, 3))
"""Neighbours by corners as well."""


def reaching_border(mask: Bools) -> Bools:
    """Return the regions of `mask` at the picture's border."""
    labels, _ = ndimage.label(mask)
    at_border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    # Label 0 is everything outside the mask.
    return np.asarray(np.isin(labels, at_border[at_border > 0]))


def rim(hw: tuple[int, int], fraction: float) -> Bools:
    """The pixels within `fraction` of the longer side from the picture's border; at least two wide."""
    width = max(2, round(fraction * max(hw)))
    mask = np.ones(hw, bool)
    mask[width:-width, width:-width] = False
    return mask


def large_pieces(mask: Bools, fraction: float, peak: NDArray[np.float64] | None = None, least: float = 0.0) -> Bools:
    """The pieces with at least `fraction` of the largest one's area, and somewhere more of `peak` than `least`."""
    labels, count = ndimage.label(mask, EIGHT)
    if count == 0:
        return mask
    areas = np.bincount(labels.ravel())[1:]
    keep = areas >= fraction * areas.max()
    if peak is not None:
        keep &= np.asarray(ndimage.maximum(peak, labels, np.arange(1, count + 1))) > least
    return np.asarray(np.isin(labels, 1 + np.flatnonzero(keep)))


def outline(mask: Bools) -> Bools:
    """The outermost pixels of `mask`."""
    return np.asarray(mask & ~ndimage.binary_erosion(mask))


def gradient(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much a picture (H, W) changes over two pixels, by Sobel's filters."""
    x, y = (ndimage.sobel(values, axis) / 4.0 for axis in (1, 0))
    return np.asarray(np.hypot(x, y), np.float64)
