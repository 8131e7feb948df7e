"""The cut-out before a textured background: GrabCut, twice, from different starts.

Source: Rother, Kolmogorov, Blake, "GrabCut", SIGGRAPH 2004, as OpenCV has it.
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from photo.regions import Bools, large_pieces, rim

Pixels = NDArray[np.uint8]
ROUNDS = 5
NARROW, WIDE = 0.04, 0.1
"""The rims of background colours to begin with, as parts of the longer side."""
PIECE = 0.1
HOLE_PX, EMPTY = 40, 0.95


def cut_by_texture(rgb: Pixels, lab: NDArray[np.float64]) -> Bools:
    """Return the object of a picture (H, W, 3), also given in Lab.

    A run sees RGB and starts from a narrow rim: it decides. Another sees Lab and starts from a wide rim; a hole is real
    where both see background.
    """
    # GrabCut takes bytes, so L from 0 to 100, and a and b around 0, are spread over 0 to 255.
    as_bytes = np.clip(lab * [2.2, 2.0, 2.0] + [0.0, 128.0, 128.0], 0, 255).astype(np.uint8)
    # OpenCV takes contiguous bytes only.
    first, second = _grab_cut(np.ascontiguousarray(rgb), NARROW), _grab_cut(as_bytes, WIDE)
    return _without_small_holes(_tidy(first), ~first & ~second)


def _grab_cut(picture: Pixels, border: float) -> Bools:
    marks = np.full(picture.shape[:2], cv2.GC_PR_FGD, np.uint8)
    marks[rim((picture.shape[0], picture.shape[1]), border)] = cv2.GC_BGD
    # OpenCV's default mode goes on from the given colour models. They are empty: each side is a single Gaussian, and
    # the k-means of other modes, which the seed is for, does not run.
    cv2.setRNGSeed(0)
    cv2.grabCut(picture, marks, (0, 0, 1, 1), np.zeros((1, 65)), np.zeros((1, 65)), ROUNDS)
    return np.asarray(np.isin(marks, (cv2.GC_FGD, cv2.GC_PR_FGD)))


def _tidy(mask: Bools) -> Bools:
    return large_pieces(ndimage.binary_opening(mask), PIECE)


def _without_small_holes(mask: Bools, empty: Bools) -> Bools:
    """Fill the holes, except large holes with background by both runs."""
    labels, count = ndimage.label(ndimage.binary_fill_holes(mask) & ~mask)
    filled = mask.copy()
    for number in range(1, count + 1):
        hole = labels == number
        if hole.sum() < HOLE_PX or empty[hole].mean() < EMPTY:
            filled |= hole
    return filled
