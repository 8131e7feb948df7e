"""Proof of openings: does the floor of a hollow explain the views better than the lid that was removed?

A pixel's depth is the best of many, so its cost is flattered by chance: in a deep plain cup, where few views see the
floor, pixels agree with depths where nothing is. The fused floor is the same for all views. Its disagreement, averaged
over the pixels of a whole opening, is a fair test, where enough pixels of enough views see the floor at all.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from geometry.camera import camera_centre
from reconstruct.depth_maps import OPAQUE, PosedViews, Sweep
from reconstruct.hull import Grid

LEAST_SHARE = 0.01
"""A cell of an opening's floor has to be compared in this part of the views, on average."""
FEW_VIEWS, LEAST_SEEN = 24, 0.6
"""Up to so many views, a cell of the floor has to be compared in at least `LEAST_SEEN` views.

Neighbours are then far apart, and too few of them look into a hollow for its depth. Half of it would open.
"""
LEAST_CELLS = 2.0
"""A pixel looks into an opening if its surface moved back by this many cells of the sweep's grid."""


def without_refuted_openings(opened: Grid, closed: Grid, before: Sweep, after: Sweep, refuted: float) -> Grid:
    """Close the openings between two grids of equal size where the disagreement stays above `refuted` times.

    Those that too few pixels look into are closed too. `before` and `after` are sweeps through the closed and the
    opened shape.
    """
    openings, count = ndimage.label((closed < 0.0) & (opened >= 0.0))
    lid, floor, pixels = np.zeros(count + 1), np.zeros(count + 1), np.zeros(count + 1)
    for view in range(len(before.views.cameras)):
        which, at_lid, at_floor = _seen_openings(openings, before, after, view)
        pixels += np.bincount(which, minlength=count + 1)
        lid += np.bincount(which, at_lid, count + 1)
        floor += np.bincount(which, at_floor, count + 1)
    # The cells of an opening beside the opened shape are its floor.
    beside = ndimage.binary_dilation(opened < 0.0)
    floor_cells = np.bincount(openings[beside], minlength=count + 1)
    seen_cells = pixels * _cells_of_a_pixel(before.views, 2.0 * before.shape.half_extent / len(opened))
    seldom = seen_cells < _needed_views(len(before.views.cameras)) * floor_cells
    false = (floor > refuted * lid) | seldom
    # Label 0 is everything else.
    false[0] = False
    return np.where(false[openings], closed, opened)


def _needed_views(views: int) -> float:
    """Return in how many of the `views` a cell of a floor has to be compared."""
    share = LEAST_SHARE * views
    return max(share, LEAST_SEEN) if views <= FEW_VIEWS else share


def _cells_of_a_pixel(views: PosedViews, cell: float) -> float:
    """Return the cells' faces that a pixel covers at the origin, on average."""
    distances = np.linalg.norm(camera_centre(views.cameras), axis=-1)
    return float(np.square(distances / views.lens.focal_px(views.hw) / cell).mean())


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
