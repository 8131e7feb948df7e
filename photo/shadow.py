"""A cast shadow is the background, darker, and its edge is soft."""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from photo.ground import Ground
from photo.regions import EIGHT, Bools, gradient, reaching_border

Floats = NDArray[np.float64]
DARKEST, TINT = 0.35, 3.5
STEEPNESS, STEEPEST = 0.38, 3.0
"""Over two pixels a shadow's edge takes at most this part of the light missing nearby, or 3 units of L."""


def darker_ground(rgb: Floats, lab: Floats, ground: Ground) -> Bools:
    """Where a pixel is the background's colour times a factor in [.35, 1); `rgb` (H, W, 3) in [0, 255], and its Lab."""
    colours = cv2.cvtColor(ground.colours.astype(np.float32), cv2.COLOR_LAB2RGB).astype(np.float64) * 255.0
    factor = (rgb * colours).sum(-1) / np.maximum((colours**2).sum(-1), 1e-6)
    darker = (colours * np.clip(factor, DARKEST, 1.0)[..., None] / 255.0).astype(np.float32)
    # Only a and b are compared: the lightness of a shadow is free.
    tint = (lab - cv2.cvtColor(darker, cv2.COLOR_RGB2LAB))[..., 1:]
    inverse = np.linalg.inv(ground.covariance[1:, 1:] * 1.5 + np.eye(2))
    return np.asarray(
        (factor > DARKEST) & (factor < 1.0) & (np.sqrt(np.einsum("hwi,ij,hwj->hw", tint, inverse, tint)) < TINT)
    )


def steep_edges(light: Floats, ground: Ground) -> Bools:
    """Return where L (H, W) changes too steeply for the edge of a shadow."""
    missing = ndimage.grey_dilation(ground.colours[..., 0] - light, 9)
    return np.asarray(gradient(light) > np.maximum(STEEPEST, STEEPNESS * missing))


def without_shadow(inside: Bools, near: Bools, darker: Bools, steep: Bools) -> Bools:
    """Return `inside` without the shadows.

    A shadow is reached from the background, `near`, over `darker` pixels without crossing `steep` ones. A region so
    reached with a sharp outer edge is part of the object after all.
    """
    reached = reaching_border(near | ndimage.binary_opening(near | (darker & ~steep)))
    outer = inside & ndimage.binary_dilation(~inside, EIGHT, 2)
    near_steep = ndimage.grey_dilation(steep.astype(np.uint8), 3) > 0
    labels, count = ndimage.label(inside & reached, EIGHT)
    left = inside.copy()
    for number in range(1, count + 1):
        region = labels == number
        edge = region & outer
        if not edge.any() or near_steep[edge].mean() < 0.5:
            left &= ~region
    # A shadow is smaller than what casts it: this was an object of the wall's colour.
    return inside if 2 * left.sum() < inside.sum() else left
