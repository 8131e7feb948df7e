"""Visible surface as points: depth maps of a mesh from some cameras, fused (SyncDreamer, eval_mesh.py).

A surface without a camera in sight has no points. Depth is measured along the camera's axis, not along the ray.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.shapes.triangles import Triangles
from geometry.camera import Lens
from reconstruct.raster import Raster, rasterise

Floats = NDArray[np.float64]

FUSION_VOXEL = 0.01
"""Edge of the voxels of SyncDreamer's fusion, in units of the object's longest edge."""


def depth_map(mesh: Triangles, cam_from_world: Floats, lens: Lens, hw: tuple[int, int]) -> Floats:
    """Return the depth (H, W) along the camera's axis at pixel centres; infinity where nothing is seen."""
    return depth_of(rasterise(mesh.vertices, mesh.faces, cam_from_world, lens, hw), mesh, cam_from_world)


def depth_of(raster: Raster, mesh: Triangles, cam_from_world: Floats) -> Floats:
    """Return the depth (H, W) of a finished raster."""
    along = -(mesh.vertices @ cam_from_world[2, :3] + cam_from_world[2, 3])
    seen = raster.face >= 0
    # 1/depth is linear on the screen, depth is not.
    inverse = (raster.barycentric / along[mesh.faces[raster.face]]).sum(axis=-1)
    return np.divide(1.0, inverse, out=np.full(raster.face.shape, np.inf), where=seen)


def points_of_depth(depth: Floats, cam_from_world: Floats, lens: Lens, offset: float = 0.0) -> Floats:
    """Return the world points (N, 3) of a depth map's finite pixels.

    The ray of a pixel passes (column + offset, row + offset). SyncDreamer's offset is 0, a pixel's corner; its centre
    is .5.
    """
    hw = (depth.shape[0], depth.shape[1])
    row, column = np.nonzero(np.isfinite(depth))
    z = depth[row, column]
    focal = lens.focal_px(hw)
    x = (column + offset - hw[1] / 2.0) / focal * z
    y = -(row + offset - hw[0] / 2.0) / focal * z
    in_camera = np.stack([x, y, -z], axis=1)
    return np.asarray((in_camera - cam_from_world[:, 3]) @ cam_from_world[:, :3])


def thin_points(points: Floats, voxel: float) -> Floats:
    """Return the mean point of each voxel, as Open3D does: the grid starts half a voxel before all points."""
    if len(points) == 0:
        return points
    cell = np.floor((points - (points.min(axis=0) - voxel / 2.0)) / voxel).astype(np.int64)
    _, index, counts = np.unique(cell, axis=0, return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(index.reshape(-1), points[:, k]) for k in range(3)], axis=1)
    return np.asarray(sums / counts[:, None])


def fused_points(
    mesh: Triangles,
    cameras: Sequence[Floats],
    lens: Lens,
    hw: tuple[int, int],
    voxel: float = FUSION_VOXEL,
    offset: float = 0.0,
) -> Floats:
    """Return the thinned visible points of a mesh from cameras, (N, 3); empty if no camera sees it."""
    parts = [points_of_depth(depth_map(mesh, camera, lens, hw), camera, lens, offset) for camera in cameras]
    return thin_points(np.concatenate(parts), voxel)
