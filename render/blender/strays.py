"""Find faces left far from a model, and corners lost by an exporter. Numpy only."""

import numpy as np
from numpy.typing import NDArray

from render.blender.surfaces import parts_of

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

FEWEST_FACES = 100
"""Models of fewer faces have no strays: each face counts."""
STRAY_SHARE = 0.01
"""The most that strays may be of all faces."""
STRAY_GAIN = 4.0
"""How many times smaller the model must be without strays for them to be left out."""
STRAY_DISTANCE = 2.0
"""How far from most faces a stray is, in longest edges of the box around most."""
MOST = (0.01, 0.99)
SAMPLED = 100_000


def may_have_strays(points: Floats) -> bool:
    """Whether any of points (N, 3) is far from where most of them are; a quick look before `find_strays`."""
    some = points[:: max(1, len(points) // SAMPLED)]
    low, high = np.quantile(some, MOST, axis=0)
    reach = STRAY_DISTANCE * float((high - low).max())
    return bool(((points < low - reach) | (points > high + reach)).any())


def find_strays(corners: Floats) -> Flags:
    """Test which triangles (T, 3, 3) are strays: few, and far from the others or stretched to a far point."""
    none = np.zeros(len(corners), bool)
    # Quantiles, because a single stray point moves a mean or a box without limit.
    low, high = np.quantile(corners.mean(axis=1), MOST, axis=0)
    reach = STRAY_DISTANCE * float((high - low).max())
    inside = ((corners >= low - reach) & (corners <= high + reach)).all(axis=2)
    if len(corners) < FEWEST_FACES or inside.all():
        return none
    is_apart = _are_apart(corners, low - reach, high + reach)
    is_spike = inside.any(axis=1) & ~inside.all(axis=1)
    # A lost corner is a single point, often the origin; several far points are part of a shape.
    if len(np.unique(corners[is_spike][~inside[is_spike]], axis=0)) > 1:
        is_spike = none
    found = is_apart | is_spike
    if not 0 < found.sum() <= max(2.0, STRAY_SHARE * len(corners)):
        return none
    rest = corners[~found]
    extent = float((corners.max(axis=(0, 1)) - corners.min(axis=(0, 1))).max())
    rest_extent = float((rest.max(axis=(0, 1)) - rest.min(axis=(0, 1))).max())
    return found if extent >= STRAY_GAIN * rest_extent else none


def _are_apart(corners: Floats, low: Floats, high: Floats) -> Flags:
    """Test which triangles (T, 3, 3) belong to connected parts with boxes outside the box from `low` to `high`.

    Only triangles outside the box are connected: a sky or a ground is a single part and touches it.
    """
    apart = np.flatnonzero(((corners.min(axis=1) > high) | (corners.max(axis=1) < low)).any(axis=1))
    result = np.zeros(len(corners), bool)
    if not len(apart):
        return result
    part = parts_of(corners[apart].reshape(-1, 3), np.arange(3 * len(apart)).reshape(-1, 3)).of_triangle
    lowest, highest = np.full((part.max() + 1, 3), np.inf), np.full((part.max() + 1, 3), -np.inf)
    np.minimum.at(lowest, part, corners[apart].min(axis=1))
    np.maximum.at(highest, part, corners[apart].max(axis=1))
    result[apart] = ((lowest > high) | (highest < low)).any(axis=1)[part]
    return result
