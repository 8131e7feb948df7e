"""The solid that depth pictures leave: all of a box but the space that some camera saw to be empty.

It is the visual hull sharpened by depth. Hollows without a camera in sight stay filled.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from skimage.measure import marching_cubes

from evaluation.shapes.triangles import Triangles
from geometry.camera import Lens, project

Floats = NDArray[np.float64]
DepthView = tuple[Floats, Floats, Lens]
"""Depths (H, W) along the camera's axis, infinite for background; `cam_from_world` (3, 4); the lens."""

BAND = 2.0
"""Distances to the surface count up to this many voxels, so that the surface falls between voxels."""


def depth_hull(views: Iterable[DepthView], low: Floats, high: Floats, size: int) -> Triangles:
    """Carve the box from `low` (3,) to `high` (3,), with `size` voxels along its longest edge, by depth pictures.

    Raises ValueError for a box without extent, and when nothing is left.
    """
    edge = float((high - low).max()) / size
    if not np.isfinite(edge) or edge <= 0.0 or (high < low).any():
        raise ValueError(f"expected a box with some extent, got {low.tolist()} to {high.tolist()}")
    counts = np.maximum(1, np.ceil((high - low) / edge).astype(np.int64))
    axes = [low[k] + (np.arange(counts[k]) + 0.5) * edge for k in range(3)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    free = np.full(len(points), -BAND)
    for depth, cam_from_world, lens in views:
        free = np.maximum(free, _free_voxels(points, depth, cam_from_world, lens, edge))
    # Outside the box is empty, so the surface closes there.
    grid = np.pad(free.reshape(counts), 1, constant_values=BAND)
    if grid.min() >= 0.0:
        raise ValueError("expected depth pictures around a solid, got an empty box")
    vertices, faces, _, _ = marching_cubes(grid, level=0.0, gradient_direction="ascent")
    # scikit-image counts corners clockwise when the array is indexed [x, y, z].
    return Triangles(low + (vertices - 0.5) * edge, faces[:, ::-1].astype(np.int64))


def _free_voxels(points: Floats, depth: Floats, cam_from_world: Floats, lens: Lens, edge: float) -> Floats:
    """Return how far each point (N, 3) is before the surface seen at its pixel, in voxels of `edge` up to BAND.

    Points behind the surface have negative values; points outside the picture have −BAND.
    """
    hw = (depth.shape[0], depth.shape[1])
    pixel = np.nan_to_num(project(points, cam_from_world, lens, hw), nan=-1.0)
    inside = ((pixel >= 0) & (pixel < [hw[1], hw[0]])).all(axis=1)
    along = -(points @ cam_from_world[2, :3] + cam_from_world[2, 3])
    measured = _depth_at(depth, pixel[inside], BAND * edge)
    free = np.full(len(points), -BAND)
    free[inside] = np.clip((measured - along[inside]) / edge, -BAND, BAND)
    return free


def _depth_at(depth: Floats, pixel: Floats, agreed: float) -> Floats:
    """Read depths at positions (N, 2) of x and y: between pixels where the four neighbours agree, else the nearest.

    Between pixels, because a slanted face would lose half a pixel; not across an outline, which has no depth.
    """
    last = np.array([depth.shape[1] - 1, depth.shape[0] - 1])
    first = np.floor(pixel - 0.5)
    right, down = (pixel - 0.5 - first).T
    (x0, y0), (x1, y1) = (np.clip(first + step, 0, last).astype(np.int64).T for step in (0, 1))
    four = np.stack([depth[y0, x0], depth[y0, x1], depth[y1, x0], depth[y1, x1]])
    column, row = np.minimum(np.floor(pixel), last).astype(np.int64).T
    finite = np.isfinite(four).all(axis=0)
    four = np.where(finite, four, 0.0)
    weights = np.stack([(1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down])
    smooth = finite & (np.ptp(four, axis=0) <= agreed)
    return np.where(smooth, (weights * four).sum(axis=0), depth[row, column])
