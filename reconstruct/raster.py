"""Find the triangle seen by each pixel, in NumPy: exact at pixel centres, without a graphics driver.

Pixel (row, column) has its centre at (column + .5, row + .5), as in `geometry.camera.project`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geometry.camera import Lens, Orthographic, project

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CELLS = 4_000_000
"""Pixels of bounding boxes tested at a time, which bounds the memory (about 400 MB)."""


@dataclass(frozen=True)
class Raster:
    """`face` (H, W) is the nearest triangle's index or −1; `barycentric` (H, W, 3) are its corners' screen weights."""

    face: Ints
    barycentric: Floats


def rasterise(
    vertices: Floats, faces: Ints, cam_from_world: Floats, lens: Lens | Orthographic, hw: tuple[int, int]
) -> Raster:
    """Find the nearest triangle at each pixel centre for vertices (V, 3) in the world and `faces` (F, 3).

    Triangles with a corner at or behind the camera are left out.
    """
    # Triangles of similar size share a bucket, so that an array of equal boxes wastes little.
    points = project(vertices, cam_from_world, lens, hw)
    depth = -(vertices @ cam_from_world[2, :3] + cam_from_world[2, 3])
    corners = points[faces]
    first, last = _pixel_box(corners, hw)
    spans = (last - first + 1).max(1)
    usable = np.isfinite(corners).all((1, 2)) & ((last >= first).all(1))
    hits: list[tuple[Ints, Floats, Ints, Floats]] = []
    bucket = 1
    while bucket < 2 * max(hw):
        chosen = np.nonzero(usable & (spans <= bucket) & (spans > bucket // 2))[0]
        # Ceiling division. An empty bucket still makes an empty part, as `array_split` needs one.
        for part in np.array_split(chosen, -(-len(chosen) * bucket**2 // CELLS) or 1):
            hits.append(_covered(corners[part], depth[faces[part]], first[part], part, bucket, hw))
        bucket *= 2
    return _nearest(hits, hw)


def _pixel_box(corners: Floats, hw: tuple[int, int]) -> tuple[Ints, Ints]:
    """Return the first and last pixel (x, y) with a centre in a triangle's bounding box and the image; (F, 2) each."""
    with np.errstate(invalid="ignore"):
        # A triangle with a corner behind the camera (NaN) gets some box here; `usable` leaves it out.
        first = np.ceil(np.nan_to_num(corners, nan=0.0).min(1) - 0.5)
        last = np.floor(np.nan_to_num(corners, nan=-1.0).max(1) - 0.5)
    edge = np.array([hw[1] - 1, hw[0] - 1])
    return np.clip(first, 0, edge + 1).astype(np.int64), np.clip(last, -1, edge).astype(np.int64)


def _covered(
    corners: Floats, depth: Floats, first: Ints, faces: Ints, bucket: int, hw: tuple[int, int]
) -> tuple[Ints, Floats, Ints, Floats]:
    """Return (pixel, depth, face, barycentric) of all pixel centres in the triangles, in boxes of `bucket`² pixels."""
    steps = np.arange(bucket)
    x = (first[:, 0, None, None] + steps[None, None, :]).astype(np.float64)
    y = (first[:, 1, None, None] + steps[None, :, None]).astype(np.float64)
    inside_image = (x < hw[1]) & (y < hw[0])
    (x0, y0), (x1, y1), (x2, y2) = (corners[:, k].T[..., None, None] for k in range(3))
    area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    with np.errstate(divide="ignore", invalid="ignore"):
        w1 = ((x + 0.5 - x0) * (y2 - y0) - (x2 - x0) * (y + 0.5 - y0)) / area
        w2 = ((x1 - x0) * (y + 0.5 - y0) - (x + 0.5 - x0) * (y1 - y0)) / area
        w0 = 1.0 - w1 - w2  # all three are NaN or infinite for a triangle without area, and then nothing is inside
    inside = inside_image & np.isfinite(w0) & (w0 >= 0) & (w1 >= 0) & (w2 >= 0)
    which, row, column = np.nonzero(inside)
    weights = np.stack([w0[inside], w1[inside], w2[inside]], axis=1)
    pixel = (first[which, 1] + row) * hw[1] + first[which, 0] + column
    # 1/depth is linear on the screen, depth is not.
    return pixel, 1.0 / (weights / depth[which]).sum(1), faces[which], weights


def _nearest(hits: list[tuple[Ints, Floats, Ints, Floats]], hw: tuple[int, int]) -> Raster:
    pixel, depth, face, weights = (np.concatenate(parts) for parts in zip(*hits, strict=True))
    order = np.argsort(-depth, kind="stable")  # the nearest is written last and stays
    seen = np.full(hw[0] * hw[1], -1, np.int64)
    barycentric = np.zeros((hw[0] * hw[1], 3))
    seen[pixel[order]] = face[order]
    barycentric[pixel[order]] = weights[order]
    return Raster(seen.reshape(hw), barycentric.reshape(*hw, 3))
