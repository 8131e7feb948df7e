"""The surface of a density field where its own depth maps meet.

No view sees the inside of an object, so an optimised density is a shell, and a level of it has an inner surface too.
Fused depths have only the outer: what no view sees into is solid.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from base.errors import Failure
from geometry.camera import Lens, ray_directions
from reconstruct.depth_maps import DepthMap
from reconstruct.field import VoxelField
from reconstruct.hull import hull_distance
from reconstruct.rays import box_span, camera_rays
from reconstruct.settings import MeshSettings
from reconstruct.support import Silhouettes
from reconstruct.surface import SignedField, fuse_depths, without_small_parts
from reconstruct.volume import render

OPAQUE = 0.5
"""A pixel with less alpha shows no surface."""
SMOOTH_CELLS = 1.0


def fuse_field(
    field: VoxelField,
    cameras: NDArray[np.float64],
    lens: Lens,
    hw: tuple[int, int],
    samples: int,
    settings: MeshSettings,
) -> SignedField:
    """Fuse the depths of a field in views of `hw` pixels from cameras (V, 3, 4), on a grid of `settings.resolution`³.

    Raises Failure for a field that no view shows.
    """
    seen = [_depth_and_alpha(field, camera, lens, hw, samples) for camera in cameras]
    alphas = np.stack([alpha for _, alpha in seen])
    silhouettes = Silhouettes(alphas, cameras, lens, field.half_extent)
    hull = hull_distance(alphas, cameras, lens, settings.resolution, field.half_extent)
    if not (hull < 0.0).any():
        raise Failure("mesh: expected a field with something solid in it, got an empty field")
    maps = [
        DepthMap(torch.from_numpy(depth), torch.from_numpy((alpha > OPAQUE).astype(np.float32)))
        for depth, alpha in seen
    ]
    fused = ndimage.gaussian_filter(fuse_depths(maps, hull, silhouettes, 0.5), SMOOTH_CELLS)
    return SignedField(without_small_parts(np.maximum(fused, hull), settings.keep_fraction), field.half_extent)


def _depth_and_alpha(
    field: VoxelField, camera: NDArray[np.float64], lens: Lens, hw: tuple[int, int], samples: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean depth of what a view shows, along the camera's axis, and its alpha; (H, W) each."""
    rays = camera_rays(camera, lens, hw, str(field.density.device))
    with torch.no_grad():
        rendered = render(field, rays, samples)
    # The light that passes counts with the cube's far side, and is taken out again.
    passed = (1.0 - rendered.alpha) * box_span(rays, field.half_extent)[1]
    distance = ((rendered.depth - passed) / rendered.alpha.clamp(min=1e-3)).cpu().numpy().reshape(hw)
    alpha = rendered.alpha.cpu().numpy().reshape(hw)
    along = distance / np.linalg.norm(ray_directions(lens, hw), axis=-1)
    depth = np.where(alpha > OPAQUE, along, np.inf)
    return depth.astype(np.float32), np.ascontiguousarray(alpha, np.float32)
