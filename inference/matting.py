"""Recover the alpha of sampled views: the model draws objects on white, a known background.

A pixel on the outline is c = α f + (1 − α) w with white w = 1. Its colour f is taken from the object beside it. Then
α = (w − c)·(w − f) / |w − f|² (the least-squares solution of the compositing equation for one known background).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.settings import MattingSettings

Floats = NDArray[np.float64]
# Corners connect as well, so that background seen through a diagonal gap is still reached from the border.
EVERY_SIDE = ndimage.generate_binary_structure(2, 2)


@dataclass(frozen=True)
class _Regions:
    """Where a view is surely background, surely object, and in between; booleans (H, W) each."""

    background: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    edge: NDArray[np.bool_]


def matte_on_white(rgb: NDArray[np.uint8], settings: MattingSettings) -> NDArray[np.uint8]:
    """Return the object of a view on white, uint8 (H, W, 3), as uint8 RGBA (H, W, 4) with straight alpha.

    Background is the white connected to the view's border; white inside an outline stays opaque. A white part of the
    object at its outline looks like background and is lost.
    """
    colour = np.minimum(rgb.astype(np.float64) / 255.0 / _white_of(rgb, settings), 1.0)
    regions = _regions(colour, settings)
    alpha = np.where(regions.background, 0.0, 1.0)
    alpha[regions.edge] = _edge_alpha(colour, regions, settings)
    # Solves c = α f + (1 − α) for f, so that the object on white is the view again.
    straight = np.where(alpha[..., None] > 0.0, 1.0 - (1.0 - colour) / np.maximum(alpha, 1e-6)[..., None], 0.0)
    both = np.concatenate([np.clip(straight, 0.0, 1.0), alpha[..., None]], axis=-1)
    return np.asarray((both * 255.0).round(), np.uint8)


def _white_of(rgb: NDArray[np.uint8], settings: MattingSettings) -> Floats:
    """Return the view's own white (3,), in (0, 1]: an autoencoder's white is a few levels below 255 everywhere.

    The median of the border's pixels, if that is nearly white; 1 where the object fills the border.
    """
    border = np.concatenate([rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]])
    # A median is not moved by an object that touches a part of the border.
    median = np.median(border, axis=0) / 255.0
    return median if median.min() >= 1.0 - settings.darkest_white_levels / 255.0 else np.ones(3)


def _regions(colour: Floats, settings: MattingSettings) -> _Regions:
    white = (1.0 - colour).max(-1) <= settings.white_levels / 255.0
    labels, _ = ndimage.label(white, EVERY_SIDE)
    # White at the border is background. Label 0 is everything that is not white.
    border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    background = np.isin(labels, border[border > 0])
    near = ndimage.binary_dilation(background, EVERY_SIDE, iterations=settings.edge_px)
    return _Regions(background, ~near, near & ~background)


def _edge_alpha(colour: Floats, regions: _Regions, settings: MattingSettings) -> Floats:
    """α (N,) of the pixels between object and background."""
    away = 1.0 - colour[regions.edge]
    full = 1.0 - _object_colour(colour, regions, settings)
    strength = (full**2).sum(-1)
    alpha = np.clip((away * full).sum(-1) / np.maximum(strength, 1e-9), 0.0, 1.0)
    # Beside a nearly white part the equation has no stable solution.
    return np.where(strength <= 3.0 * (settings.white_levels / 255.0) ** 2, 1.0, alpha)


def _object_colour(colour: Floats, regions: _Regions, settings: MattingSettings) -> Floats:
    """Return the object's colour (N, 3) at the edge pixels: of the nearest inner pixel, or of the darkest nearby.

    Parts thinner than two edges have no inner pixels; their least white pixel is then the best guess.
    """
    reach = settings.edge_px + 1
    nearby = ndimage.distance_transform_edt(~regions.inside, return_indices=True)
    distance, (rows, columns) = nearby[0][regions.edge], nearby[1][:, regions.edge]
    darkest = _least_white(colour, 2 * reach + 1)[regions.edge]
    return np.where((distance <= reach + 0.5)[:, None], colour[rows, columns], darkest)


def _least_white(colour: Floats, side: int) -> Floats:
    """Return, for each pixel, the colour furthest from white in a square of `side` around it; (H, W, 3)."""
    reach = side // 2
    # White padding never wins the search for the colour furthest from white.
    padded = np.pad(colour, ((reach, reach), (reach, reach), (0, 0)), constant_values=1.0)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(0, 1))  # type: ignore[call-overload]
    flat = windows.reshape(*colour.shape, side * side)
    chosen = (1.0 - flat).sum(2).argmax(-1)
    return np.take_along_axis(flat, chosen[:, :, None, None], axis=-1)[..., 0]
