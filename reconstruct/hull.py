"""The visual hull of silhouettes: the largest shape that no view contradicts (Laurentini, PAMI 1994).

A grid holds values at its cells' centres in the cube [−half_extent, half_extent]³, indexed [x, y, z]. V views have
`alphas` (V, H, W) in [0, 1] and cameras (V, 3, 4).
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional

from geometry.camera import Lens

Floats = NDArray[np.float64]
Grid = NDArray[np.float32]

FINER = 2
"""Silhouettes are enlarged by this before distances are measured, so that soft edges count."""


def cell_centres(resolution: int, half_extent: float) -> Floats:
    """Return the coordinates of the cells' centres along an edge; (resolution,)."""
    return np.asarray(((np.arange(resolution) + 0.5) / resolution * 2.0 - 1.0) * half_extent)


def grid_points(resolution: int, half_extent: float) -> NDArray[np.float32]:
    """Return the cells' centres (resolution³, 3), x slowest."""
    line = cell_centres(resolution, half_extent).astype(np.float32)
    return np.asarray(np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3), np.float32)


def project_grid(
    points: NDArray[np.float32], camera: Floats, lens: Lens, hw: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Project points (N, 3): places (N, 2) from −1 to 1 across the image, as `grid_sample` has it, and depths (N,)."""
    matrix = camera.astype(np.float32)
    in_cam = points @ matrix[:, :3].T + matrix[:, 3]
    depth = np.maximum(-in_cam[:, 2], 1e-6)
    focal = lens.focal_px(hw) * 2.0
    scale = np.array([focal / hw[1], -focal / hw[0]], np.float32)
    return in_cam[:, :2] / depth[:, None] * scale, depth


def sample_image(image: NDArray[np.float32], places: NDArray[np.float32]) -> NDArray[np.float32]:
    """Interpolate an image (C, H, W) at places (N, 2) as of `project_grid`; (C, N). Its edge goes on outside."""
    where = torch.from_numpy(places)[None, None]
    seen = functional.grid_sample(
        torch.from_numpy(image)[None], where, padding_mode="border", align_corners=False, mode="bilinear"
    )
    return np.asarray(seen[0, :, 0].numpy())


def hull_opacity(alphas: NDArray[np.float32], cameras: Floats, lens: Lens, resolution: int, half_extent: float) -> Grid:
    """Return the least alpha seen at each cell's centre, a grid; the hull is where it exceeds one half."""
    points = grid_points(resolution, half_extent)
    least = np.ones(len(points), np.float32)
    hw = (alphas.shape[1], alphas.shape[2])
    for alpha, camera in zip(alphas, cameras, strict=True):
        # A cell that is empty in one view stays empty, so later views need not look at it.
        possible = np.nonzero(least > 0.0)[0]
        places, _ = project_grid(points[possible], camera, lens, hw)
        least[possible] = np.minimum(least[possible], sample_image(alpha[None], places)[0])
    return least.reshape((resolution,) * 3)


def hull_distance(
    alphas: NDArray[np.float32],
    cameras: Floats,
    lens: Lens,
    resolution: int,
    half_extent: float,
    outvoted: int = 0,
) -> Grid:
    """Return an approximate signed distance to the hull, a grid in world units; negative inside.

    In each view the distance to the outline is measured in the image and scaled by the depth. The greatest of all
    views is a lower bound of the distance outside, and nearly exact close to the surface. The `outvoted` greatest at
    each cell are passed over, so that as many views may be wrong about it.
    """
    points = grid_points(resolution, half_extent)
    hw = (alphas.shape[1], alphas.shape[2])
    greatest = np.full((outvoted + 1, len(points)), -np.inf, np.float32)  # in falling order
    for outline, camera in zip(outline_distances(alphas), cameras, strict=True):
        places, depth = project_grid(points, camera, lens, hw)
        seen = sample_image(outline[None], places)[0] * depth / np.float32(lens.focal_px(hw))
        # Insertion at each cell: a rank keeps the greater of two values and passes the lesser on to the next.
        for rank in greatest:
            lesser = np.minimum(rank, seen)
            np.maximum(rank, seen, out=rank)
            seen = lesser
    return np.asarray(greatest[-1].reshape((resolution,) * 3))


def outline_distances(alphas: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Yield the signed distance of each pixel's centre to the outline (H, W), in pixels; negative inside."""
    for alpha in alphas:
        fine = _enlarged(alpha)
        inside = fine > 0.5
        # Without an outline there is no distance to it; every pixel is far outside.
        if not inside.any():
            yield np.full(alpha.shape, float(max(alpha.shape)), np.float32)
            continue
        outer, inner = ndimage.distance_transform_edt(~inside), ndimage.distance_transform_edt(inside)
        # A pixel's centre is half a pixel from its edge.
        whole = (np.where(inside, 0.5 - inner, outer - 0.5) / FINER).reshape(
            alpha.shape[0], FINER, alpha.shape[1], FINER
        )
        mean = whole.mean((1, 3))
        # Beside the outline the alpha itself says where in the pixel it runs.
        edge = (alpha > 0.02) & (alpha < 0.98)
        yield np.where(edge, 0.5 - alpha, mean).astype(np.float32)


def _enlarged(alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    fine = functional.interpolate(
        torch.from_numpy(alpha)[None, None], scale_factor=float(FINER), mode="bilinear", align_corners=False
    )
    return np.asarray(fine[0, 0].numpy())
