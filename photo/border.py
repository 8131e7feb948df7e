"""The cut-out without weights: everything different from the background at the picture's border.

A smooth background is fitted as a surface, and cast shadows are taken out; before a texture GrabCut decides. For the
confidence see photo/doubt.py.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from photo.doubt import Signs, SmoothMask, confidence, smooth_signs, textured_signs
from photo.ground import NEAR, Ground, fit_ground
from photo.matte import between_alpha, edge_alpha, own_colours
from photo.regions import Bools, large_pieces, reaching_border
from photo.settings import BorderSettings
from photo.shadow import darker_ground, steep_edges, without_shadow
from photo.texture import cut_by_texture

Mask = NDArray[np.float32]
Floats = NDArray[np.float64]
BLOCK, RINGING = 11, 0.08
"""A JPEG's ringing: within a block of a strong edge, differences below this part of the edge mean nothing."""
LOOSER = 0.6
"""A narrower idea of the background, to see whether the outline depends on it."""
STANDS_OUT, PIECE, EDGE_PX = 8.0, 0.02, 4
HOLE_PX, LARGEST_HOLE, HOLE_MEAN = 12, 0.35, 1.0


@dataclass(frozen=True)
class BorderCut:
    """The mask (H, W) in [0, 1], the object's own colours (H, W, 3), and how far the method trusts it, in [0, 1]."""

    mask: Mask
    rgb: NDArray[np.uint8]
    confidence: float


@dataclass(frozen=True)
class Look:
    """A picture at working size, uint8 (H, W, 3): its Lab, the same a little softened, and its background."""

    small: NDArray[np.uint8]
    sharp: Floats
    soft: Floats
    rgb: Floats
    ground: Ground


def cut_by_border(rgb: NDArray[np.uint8], settings: BorderSettings, near: float | None = None) -> BorderCut:
    """Cut the object of an opaque picture (H, W, 3) out of a background around it.

    `near` is a person's own threshold: how many deviations from a smooth background still count as background. With it
    the background is taken as smooth.
    """
    height, width = rgb.shape[:2]
    look = look_at(rgb, settings.side_px)
    is_smooth = near is not None or look.ground.roughness <= settings.roughness
    alpha, signs = cut_smooth(look, near or NEAR) if is_smooth else cut_textured(look)
    trust = confidence(signs, (settings.smooth if is_smooth else settings.textured).model_dump())
    mask = np.asarray(cv2.resize(alpha.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    behind = cv2.cvtColor(look.ground.colours.astype(np.float32), cv2.COLOR_LAB2RGB).astype(np.float64) * 255.0
    return BorderCut(mask, own_colours(rgb, mask, behind) if is_smooth else rgb, trust)


def look_at(rgb: NDArray[np.uint8], side_px: int) -> Look:
    """Shrink a picture to a longer side of `side_px`, and fit its background."""
    height, width = rgb.shape[:2]
    scale = min(1.0, side_px / max(height, width))
    # Very long pictures keep 8 pixels across, as much as the smallest picture that is read.
    wh = (max(8, round(width * scale)), max(8, round(height * scale)))
    small = np.asarray(cv2.resize(rgb, wh, interpolation=cv2.INTER_AREA), np.uint8) if scale < 1.0 else rgb
    soft = np.asarray(cv2.GaussianBlur(small.astype(np.float32), (0, 0), 0.8), np.float32)
    lab = _lab(soft)
    return Look(small, _lab(small.astype(np.float32)), lab, soft.astype(np.float64), fit_ground(lab))


def cut_textured(look: Look) -> tuple[Floats, Signs]:
    """Return alpha (H, W) of the object before a texture, and the signs against it."""
    inside = cut_by_texture(look.small, look.sharp)
    alpha = between_alpha(look.sharp, inside)
    return alpha, textured_signs(alpha > 0.5, look.small)


def cut_smooth(look: Look, near: float = NEAR) -> tuple[Floats, Signs]:
    """Return alpha (H, W) of the object before a smooth background, and the signs against it.

    Colours within `near` deviations of the background are the background's.
    """
    distance = look.ground.distance(look.soft)
    darker = darker_ground(look.rgb, look.soft, look.ground)
    steep = steep_edges(look.soft[..., 0], look.ground)
    inside, with_shadow = _standing_out(distance, near, darker, steep)
    # A mask that changes a lot with the threshold is a sign of a wrong outline.
    looser, _ = _standing_out(distance, LOOSER * near, darker, steep)
    alpha = _alpha(look.sharp - look.ground.colours, inside)
    return alpha, smooth_signs(SmoothMask(alpha > 0.5, looser, with_shadow, distance, darker, steep))


def _lab(rgb: NDArray[np.float32]) -> Floats:
    return np.asarray(cv2.cvtColor(rgb / 255.0, cv2.COLOR_RGB2LAB), np.float64)


def _standing_out(distance: Floats, least: float, darker: Bools, steep: Bools) -> tuple[Bools, Bools]:
    """Return what differs from the background by `least` deviations, without shadows and with them."""
    near = distance < np.maximum(least, RINGING * ndimage.grey_dilation(distance, BLOCK))
    inside = _tidy(~reaching_border(near), distance)
    return _tidy(without_shadow(inside, near, darker, steep), distance), inside


def _tidy(inside: Bools, distance: Floats) -> Bools:
    return large_pieces(np.asarray(ndimage.binary_opening(inside)), PIECE, distance, STANDS_OUT)


def _alpha(rest: Floats, inside: Bools) -> Floats:
    """Alpha of the object: 1 inside, half at its outline, 0 in holes."""
    edge = edge_alpha(rest, inside)
    deep = ndimage.distance_transform_edt(inside) > EDGE_PX
    solid = np.asarray(ndimage.binary_fill_holes(inside & ((edge > 0.5) | deep)))
    solid = large_pieces(solid & ~_holes(rest, solid), PIECE)
    beside = ndimage.binary_dilation(solid) & inside
    inner = np.asarray(ndimage.binary_erosion(solid))
    # Masks are cut at one half later: edge pixels of the solid part stay above it.
    return np.where(inner, 1.0, np.where(solid, np.maximum(edge, 0.5 + 1e-3), np.where(beside, edge * 0.99, 0.0)))


def _holes(rest: Floats, solid: Bools) -> Bools:
    """Return the enclosed regions like the background in each pixel and in their mean."""
    noise = rest[~solid]
    # A background without noise has a singular covariance, hence the addend. Few pixels say nothing about noise.
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
