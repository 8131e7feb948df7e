"""The cut-out without weights: whatever differs from the background that reaches the picture's border.

A smooth background is fitted as a surface, and cast shadows are taken out; before a textured one GrabCut decides. The
confidence is low where the outline is not where the picture changes, where the object is so thin that a pixel matters,
where it is hard to tell from a shadow, or where two runs disagree.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from photo.ground import NEAR, Ground, fit_ground
from photo.matte import between_alpha, edge_alpha, own_colours
from photo.regions import Bools, gradient, large_pieces, outline, reaching_border
from photo.settings import BorderSettings
from photo.shadow import darker_ground, like_shadow, without_shadow
from photo.texture import cut_by_texture

Mask = NDArray[np.float32]
Floats = NDArray[np.float64]
BLOCK, RINGING = 11, 0.08
"""A JPEG's ringing: within a block of a strong edge, differences below this part of the edge mean nothing."""
STANDS_OUT, PIECE, EDGE_PX = 8.0, 0.02, 4
HOLE_PX, LARGEST_HOLE, HOLE_MEAN = 12, 0.35, 1.0


@dataclass(frozen=True)
class BorderCut:
    """The mask (H, W) in [0, 1], the object's own colours (H, W, 3), and how far the method trusts it, in [0, 1]."""

    mask: Mask
    rgb: NDArray[np.uint8]
    confidence: float


@dataclass(frozen=True)
class Evidence:
    """What speaks for and against a mask (see `confidence`); `agreement` is None before a smooth background."""

    edge: float
    thinness: float
    shadow: float
    agreement: float | None


def cut_by_border(rgb: NDArray[np.uint8], settings: BorderSettings) -> BorderCut:
    """The object of an opaque picture (H, W, 3) before a background that reaches its border."""
    height, width = rgb.shape[:2]
    scale = min(1.0, settings.side_px / max(height, width))
    wh = (max(8, round(width * scale)), max(8, round(height * scale)))
    small = np.asarray(cv2.resize(rgb, wh, interpolation=cv2.INTER_AREA), np.uint8) if scale < 1.0 else rgb
    soft = np.asarray(cv2.GaussianBlur(small.astype(np.float32), (0, 0), 0.8), np.float32)
    lab = _lab(soft)
    ground = fit_ground(lab)
    if ground.roughness <= settings.roughness:
        darker = darker_ground(soft.astype(np.float64), lab, ground)
        inside, doubtful = _smooth(lab, ground, darker)
        alpha = _alpha(_lab(small.astype(np.float32)) - ground.colours, inside)
        evidence = _evidence(alpha > 0.5, lab[..., 0], max(doubtful, like_shadow(alpha > 0.5, darker)), None)
    else:
        sharp = _lab(small.astype(np.float32))
        inside, agreement = cut_by_texture(small, sharp)
        alpha = between_alpha(sharp, inside)
        evidence = _evidence(alpha > 0.5, lab[..., 0], 0.0, agreement)
    mask = np.asarray(cv2.resize(alpha.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    behind = cv2.cvtColor(ground.colours.astype(np.float32), cv2.COLOR_LAB2RGB).astype(np.float64) * 255.0
    colours = own_colours(rgb, mask, behind) if ground.roughness <= settings.roughness else rgb
    return BorderCut(mask, colours, confidence(evidence, settings))


def _lab(rgb: NDArray[np.float32]) -> Floats:
    return np.asarray(cv2.cvtColor(rgb / 255.0, cv2.COLOR_RGB2LAB), np.float64)


def _smooth(lab: Floats, ground: Ground, darker: Bools) -> tuple[Bools, float]:
    """What stands out from a smooth background, shadows taken out, and how much of it may be shadow after all."""
    distance = ground.distance(lab)
    near = distance < np.maximum(NEAR, RINGING * ndimage.grey_dilation(distance, BLOCK))
    inside = _tidy(~reaching_border(near), distance)
    inside, doubtful = without_shadow(inside, near, darker, lab[..., 0], ground)
    return _tidy(inside, distance), doubtful


def _tidy(inside: Bools, distance: Floats) -> Bools:
    return large_pieces(np.asarray(ndimage.binary_opening(inside)), PIECE, distance, STANDS_OUT)


def _alpha(rest: Floats, inside: Bools) -> Floats:
    """Alpha of the object: 1 inside, half at its outline, 0 in holes through which the background is seen."""
    edge = edge_alpha(rest, inside)
    deep = ndimage.distance_transform_edt(inside) > EDGE_PX
    solid = np.asarray(ndimage.binary_fill_holes(inside & ((edge > 0.5) | deep)))
    solid = large_pieces(solid & ~_holes(rest, solid), PIECE)
    beside = ndimage.binary_dilation(solid) & inside
    inner = np.asarray(ndimage.binary_erosion(solid))
    return np.where(inner, 1.0, np.where(solid, np.maximum(edge, 0.5 + 1e-3), np.where(beside, edge * 0.99, 0.0)))


def _holes(rest: Floats, solid: Bools) -> Bools:
    """Enclosed regions that look like the background not only in each pixel but in their mean."""
    noise = rest[~solid]
    covariance = np.cov(noise.T) + np.eye(3) * 0.3 if len(noise) > 9 else np.eye(3)
    inverse = np.linalg.inv(covariance)
    distance = np.sqrt(np.einsum("hwi,ij,hwj->hw", rest, inverse, rest))
    labels, count = ndimage.label((distance < NEAR) & solid)
    found = np.zeros_like(solid)
    for number in range(1, count + 1):
        region = labels == number
        mean = rest[region].mean(0)
        of_a_size = HOLE_PX <= region.sum() <= LARGEST_HOLE * solid.sum()
        if of_a_size and np.sqrt(mean @ inverse @ mean) < HOLE_MEAN:
            found |= ndimage.binary_dilation(region)
    return found


def _evidence(inside: Bools, light: Floats, shadow: float, agreement: float | None) -> Evidence:
    """How sharp the picture is along the mask's outline against how sharp it is elsewhere, and how thin the mask is."""
    if not inside.any():
        return Evidence(0.0, 1.0, shadow, agreement)
    steep = gradient(light)
    elsewhere = ~ndimage.binary_dilation(inside, iterations=EDGE_PX)
    usual = np.percentile(steep[elsewhere], 90) if elsewhere.any() else 1.0
    along = ndimage.grey_dilation(steep, 5)[outline(inside)]
    edge = float(np.percentile(along, 20) / max(float(usual), 0.5))
    return Evidence(edge, float(outline(inside).sum() / inside.sum()), shadow, agreement)


def confidence(evidence: Evidence, settings: BorderSettings) -> float:
    """How far a mask is to be trusted, in [0, 1]; at 0.5 one of the settings' limits is just met.

    Each kind of evidence is a ratio to its limit, and the weakest decides.
    """
    smooth, textured = settings.most_thinness
    thinnest, agreement = (smooth, 1.0) if evidence.agreement is None else (textured, evidence.agreement)
    ratios = (
        evidence.edge / settings.least_edge,
        thinnest / max(evidence.thinness, 1e-6),
        settings.most_shadow / max(evidence.shadow, 1e-6),
        (1.0 - settings.least_agreement) / max(1.0 - agreement, 1e-6),
    )
    return float(min(1.0, 0.5 * min(ratios)))
