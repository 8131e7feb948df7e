"""How far a weightless cut-out is to be trusted: signs of a wrong outline, weighed by a logistic regression.

A sign is a fraction, 0 for nothing suspicious. `bench/doubt.py` fits the weights on renders with known outlines: the
confidence is about the chance of an IoU of at least .9.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from photo.ground import NEAR
from photo.regions import EIGHT, Bools, large_pieces, outline

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]
Signs = dict[str, float]

SIMILAR = 2.0 * NEAR
"""Inside the object, a colour within so many standard deviations of the background's may be a gap."""
LEVELS, SPREAD, BASE = 24, 0.6, 0.05
"""Colours are counted in bins of so many levels of 255, from BASE up; a Gaussian spreads counts over neighbours."""
SCARCE = 1e-5
"""Added to probabilities of colours, so that a rare colour decides little."""
AROUND_PX, REACH_PX, PIECE = 3, 12, 0.1


@dataclass(frozen=True)
class SmoothMask:
    """A mask before a smooth background, and what it was found by; all (H, W).

    `looser` is the mask by a narrower idea of the background, `with_shadow` the mask before shadows were removed.
    `distance` is from the background in standard deviations. `darker` marks pixels with the colour of a shadow, `steep`
    edges of light too sharp for a shadow.
    """

    mask: Bools
    looser: Bools
    with_shadow: Bools
    distance: Floats
    darker: Bools
    steep: Bools


def smooth_signs(found: SmoothMask) -> Signs:
    """Return the signs against a mask before a smooth background.

    `hollow`: pixels inside the mask similar to the background. `unstable`: 1 − IoU of the mask and the looser mask.
    `removed`: the area of removed shadows; these three in parts of the mask. `sharp_shadow`: sharp outer edges of
    removed shadows. `soft_dark`: soft edges like those of shadows; both in parts of the mask's outline.
    """
    mask, edge = found.mask, outline(found.mask)
    area, length = max(int(mask.sum()), 1), max(int(edge.sum()), 1)
    hollow = ndimage.binary_erosion(mask) & (found.distance < SIMILAR)
    removed = found.with_shadow & ~mask
    far = ndimage.binary_opening(removed & ~ndimage.binary_dilation(mask, iterations=2))
    outer = far & ndimage.binary_dilation(~found.with_shadow, EIGHT, 2)
    beside_steep = ndimage.grey_dilation(found.steep.astype(np.uint8), 3) > 0
    return {
        "hollow": float(hollow.sum() / area),
        "unstable": 1.0 - overlap(mask, found.looser),
        "removed": float((removed & ~outline(found.with_shadow)).sum() / area),
        "sharp_shadow": float((outer & beside_steep).sum() / length),
        "soft_dark": float((edge & found.darker & ~beside_steep).sum() / length),
    }


def textured_signs(mask: Bools, rgb: Pixels) -> Signs:
    """Return the signs against a mask (H, W) of a picture (H, W, 3) before a texture.

    `colours`: 1 − IoU with a second opinion, see `segment_by_colours`. `concave`: the part of the mask's convex hull
    outside the mask, since gaps are filled easily.
    """
    return {"colours": 1.0 - overlap(mask, segment_by_colours(mask, rgb)), "concave": 1.0 - solidity(mask)}


def confidence(signs: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Return the trust in a mask, in [0, 1]: the logistic function of `bias` less the weighted roots of the signs.

    Roots spread the small signs: most of the difference between good and bad masks is there.
    """
    score = weights["bias"] - sum(weights[name] * float(np.sqrt(sign)) for name, sign in signs.items())
    return float(1.0 / (1.0 + np.exp(-score)))


def overlap(first: Bools, second: Bools) -> float:
    """Return the IoU of two masks; 0 for two empty masks."""
    union = int((first | second).sum())
    return float((first & second).sum() / union) if union else 0.0


def segment_by_colours(mask: Bools, rgb: Pixels) -> Bools:
    """Return the pixels near a mask with a colour more frequent inside the mask than outside: a second opinion."""
    bins = 255 // LEVELS + 1
    red, green, blue = (rgb[..., channel].astype(np.int64) // LEVELS for channel in range(3))
    colour = (red * bins + green) * bins + blue
    outside = ~ndimage.binary_dilation(mask, iterations=AROUND_PX)
    inner, outer = (_shares(colour[where], bins) for where in (mask, outside))
    score = np.log((inner + SCARCE) / (outer + SCARCE))[colour]
    found = ndimage.binary_opening(ndimage.gaussian_filter(score, 1.0) > 0.0)
    return large_pieces(found & ndimage.binary_dilation(mask, iterations=REACH_PX), PIECE)


def _shares(colours: NDArray[np.int64], bins: int) -> Floats:
    """Return each colour's share of the pixels, smoothed, (bins³,)."""
    counts = np.bincount(colours, minlength=bins**3).astype(np.float64) + BASE
    smooth = np.asarray(ndimage.gaussian_filter(counts.reshape(bins, bins, bins), SPREAD)).ravel()
    return np.asarray(smooth / smooth.sum())


def solidity(mask: Bools) -> float:
    """Return a mask's share of its convex hull; 0 for an empty mask."""
    points = np.argwhere(mask)[:, ::-1].astype(np.int32)
    if len(points) == 0:
        return 0.0
    hull = np.zeros(mask.shape, np.uint8)
    cv2.fillConvexPoly(hull, np.asarray(cv2.convexHull(points), np.int32), (1.0,))
    return float(mask.sum() / max(int(hull.sum()), 1))
