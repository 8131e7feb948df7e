"""A cast shadow is the background, darker, and its edge is soft."""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from photo.ground import Ground
from photo.regions import EIGHT, Bools, gradient, outline, reaching_border

Floats = NDArray[np.float64]
DARKEST, TINT = 0.35, 3.5
STEEPNESS, STEEPEST = 0.38, 3.0
"""Over two pixels a shadow's edge takes at most this part of the light that is missing nearby, or 3 units of L."""


def darker_ground(rgb: Floats, lab: Floats, ground: Ground) -> Bools:
    """Where a pixel is the background's colour times a factor in [.35, 1); `rgb` (H, W, 3) in [0, 255], and its Lab."""
    colours = cv2.cvtColor(ground.colours.astype(np.float32), cv2.COLOR_LAB2RGB).astype(np.float64) * 255.0
    factor = (rgb * colours).sum(-1) / np.maximum((colours**2).sum(-1), 1e-6)
    darker = (colours * np.clip(factor, DARKEST, 1.0)[..., None] / 255.0).astype(np.float32)
    tint = (lab - cv2.cvtColor(darker, cv2.COLOR_RGB2LAB))[..., 1:]
    inverse = np.linalg.inv(ground.covariance[1:, 1:] * 1.5 + np.eye(2))
    return np.asarray(
        (factor > DARKEST) & (factor < 1.0) & (np.sqrt(np.einsum("hwi,ij,hwj->hw", tint, inverse, tint)) < TINT)
    )


def without_shadow(inside: Bools, near: Bools, darker: Bools, light: Floats, ground: Ground) -> tuple[Bools, float]:
    """`inside` less the shadows, and how much was doubtful, as a fraction of what is left.

    A shadow is reached from the background over `darker` pixels without crossing a steep change of `light` (H, W), L. A
    region so reached that has a sharp outer edge is part of the object after all, and doubtful.
    """
    missing = ndimage.grey_dilation(ground.colours[..., 0] - light, 9)
    steep = gradient(light) > np.maximum(STEEPEST, STEEPNESS * missing)
    reached = reaching_border(near | ndimage.binary_opening(near | (darker & ~steep)))
    outer = inside & ndimage.binary_dilation(~inside, EIGHT, 2)
    near_steep = ndimage.grey_dilation(steep.astype(np.uint8), 3) > 0
    labels, count = ndimage.label(inside & reached, EIGHT)
    left, doubtful = inside.copy(), 0
    for number in range(1, count + 1):
        region = labels == number
        edge = region & outer
        if edge.any() and near_steep[edge].mean() >= 0.5:
            doubtful += int(region.sum())
        else:
            left &= ~region
    if 2 * left.sum() < inside.sum():  # a shadow is smaller than what casts it: this was an object of the wall's colour
        return inside, 1.0
    return left, doubtful / max(int(left.sum()), 1)


def like_shadow(inside: Bools, darker: Bools) -> float:
    """The part of a mask that is as a shadow would be, and reaches its outline; 0 for an empty mask."""
    labels, _ = ndimage.label(inside & darker)
    at_outline = np.unique(labels[outline(inside)])
    return float(np.isin(labels, at_outline[at_outline > 0]).sum() / max(int(inside.sum()), 1))
