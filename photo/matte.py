"""Where between background and object an edge pixel is, and the object's own colour there."""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from photo.regions import Bools

Floats = NDArray[np.float64]
REACH = 3
"""Pixels within which an edge pixel finds the full colour of the object."""
SPREAD_PX = 2.5
LEAST = 0.35
"""Least alpha for taking the background out of a colour: below it, too little of the colour is left."""


def edge_alpha(rest: Floats, inside: Bools) -> Floats:
    """Return alpha (H, W) from the pixels' differences `rest` (H, W, 3) from the background.

    Alpha is a difference's share of the greatest difference nearby inside the object, along the latter.
    """
    strength = np.where(inside, (rest**2).sum(-1), 0.0)
    strongest, full = strength.copy(), rest.copy()
    for down in range(-REACH, REACH + 1):
        for right in range(-REACH, REACH + 1):
            if down**2 + right**2 > REACH**2 + 1:
                continue
            other = np.roll(strength, (down, right), (0, 1))
            better = other > strongest
            strongest = np.where(better, other, strongest)
            full = np.where(better[..., None], np.roll(rest, (down, right), (0, 1)), full)
    return np.asarray(np.clip((rest * full).sum(-1) / np.maximum(strongest, 1e-6), 0.0, 1.0))


def between_alpha(lab: Floats, inside: Bools) -> Floats:
    """Alpha (H, W) near an outline, from the mean colours on either side of it; 1 inside and 0 outside otherwise.

    It is a pixel's position between the means, for backgrounds without a smooth surface.
    """
    core = ndimage.binary_erosion(inside, iterations=2) | (outline_of_thin(inside))
    behind = ~ndimage.binary_dilation(inside, iterations=2)
    within, without = _mean_nearby(lab, core), _mean_nearby(lab, behind)
    across = within - without
    # Where both sides differ by less than 5 Lab units, dividing by the difference would blow up the noise.
    alpha = ((lab - without) * across).sum(-1) / np.maximum((across**2).sum(-1), 25.0)
    band = ndimage.binary_dilation(inside) & ~ndimage.binary_erosion(inside, iterations=2) & ~core
    return np.where(band, np.clip(alpha, 0.0, 1.0), inside.astype(np.float64))


def outline_of_thin(inside: Bools) -> Bools:
    """Return the middle of thin parts, nowhere two pixels deep."""
    depth = ndimage.distance_transform_edt(inside)
    ridge = (depth == ndimage.grey_dilation(depth, 3)) & inside
    return np.asarray(ridge & (depth <= 2.5))


def _mean_nearby(lab: Floats, where: Bools) -> Floats:
    weight = ndimage.gaussian_filter(where.astype(np.float64), SPREAD_PX)
    total = ndimage.gaussian_filter(lab * where[..., None], (SPREAD_PX, SPREAD_PX, 0))
    return np.asarray(total / np.maximum(weight, 1e-6)[..., None])


def own_colours(rgb: NDArray[np.uint8], alpha: NDArray[np.float32], ground: Floats) -> NDArray[np.uint8]:
    """The picture (H, W, 3) with the background's part taken out of its edge pixels.

    `ground` is the background in [0, 255], of any size. A pixel is F α + B (1 − α), so F = B + (C − B) / α.
    """
    wh = (rgb.shape[1], rgb.shape[0])
    behind = cv2.resize(ground.astype(np.float32), wh, interpolation=cv2.INTER_LINEAR)
    mixed = (alpha > 0.0) & (alpha < 1.0)
    pixels = rgb.astype(np.float32)
    # Dividing by a small alpha would blow up the noise.
    part = np.maximum(alpha, LEAST)[..., None]
    unmixed = behind + (pixels - behind) / part
    return np.asarray(np.clip(np.rint(np.where(mixed[..., None], unmixed, pixels)), 0, 255), np.uint8)
