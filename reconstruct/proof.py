"""Proof of openings: does the floor of a hollow explain the views better than the lid that was removed?

A pixel's depth is the best of many, so its cost is flattered by chance: in a deep plain cup, where few views see the
floor, pixels agree with depths where nothing is. The fused floor is the same for all views. Its disagreement, averaged
over the pixels of a whole opening, is a fair test.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from reconstruct.depth_maps import OPAQUE, Sweep
from reconstruct.hull import Grid

LEAST_CELLS = 2.0
"""A pixel looks into an opening if its surface moved back by this many cells of the sweep's grid."""


def without_refuted_openings(opened: Grid, closed: Grid, before: Sweep, after: Sweep, refuted: float) -> Grid:
    """Close the openings between two grids of equal size where the disagreement stays above `refuted` times.

    `before` and `after` are sweeps through the closed and the opened shape. An opening that no view looks into stays.
    """
    openings, count = ndimage.label((closed < 0.0) & (opened >= 0.0))
    lid, floor = np.zeros(count + 1), np.zeros(count + 1)
    for view in range(len(before.views.cameras)):
        which, at_lid, at_floor = _seen_openings(openings, before, after, view)
        lid += np.bincount(which, at_lid, count + 1)
        floor += np.bincount(which, at_floor, count + 1)
    false = floor > refuted * lid
    # Label 0 is everything else.
    false[0] = False
    return np.where(false[openings], closed, opened)


def _seen_openings(
    openings: NDArray[np.int64], before: Sweep, after: Sweep, view: int
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """Return the openings (N,) that pixels of a view look into, and their disagreements at the lid and the floor."""
    old, new = before.entries[view], after.entries[view]
    opaque = before.views.alpha[view].reshape(-1) > OPAQUE
    moved = torch.isfinite(old) & torch.isfinite(new) & (new > old + LEAST_CELLS * before.shape.cell)
    rows = torch.nonzero(moved & opaque)[:, 0]
    centre, directions = before.views.rays(view)
    half_way = (centre + directions[rows] * (old + new)[rows, None] / 2.0).numpy()
    place = (half_way / before.shape.half_extent + 1.0) / 2.0 * len(openings)
    x, y, z = place.astype(np.int64).clip(0, len(openings) - 1).T
    at_lid, at_floor = (sweep.disagreement(view, rows).numpy() for sweep in (before, after))
    # Where too few views see a point there is no disagreement to compare.
    compared = (at_lid > 0.0) & (at_floor > 0.0)
    return openings[x, y, z][compared], at_lid[compared], at_floor[compared]
