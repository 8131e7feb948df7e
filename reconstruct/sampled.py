"""A surface from sampled views: a hull in which each cell is decided by a vote, but never against the photo.

A model draws the unseen sides of an object differently in each view. The hull of all silhouettes, the common part of
all guesses, is then too small. So a few views are outvoted at each cell. The photo itself is never outvoted: the
surface stays within its silhouette, and fills it.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn.functional import adaptive_avg_pool2d

from base.errors import Failure
from reconstruct.finish import Photo
from reconstruct.hull import Grid, grid_points, hull_distance, project_grid, sample_image
from reconstruct.settings import ReconstructSettings
from reconstruct.surface import SignedField, without_small_parts

Floats = NDArray[np.float64]

LEAST_DEPTH_CELLS = 1.5
"""How far the surface at the best cell of a photo's ray is moved outwards where the vote left nothing."""


def fit_sampled_views(
    photo: Photo, views: NDArray[np.float32], cameras: Floats, settings: ReconstructSettings
) -> SignedField:
    """Fit a surface to the photo and to sampled `views` (V, H, W, 4) in [0, 1] from cameras (V, 3, 4).

    Raises Failure when the silhouettes have no common volume.
    """
    resolution, half_extent = settings.surface.resolution, settings.field.half_extent
    own = photo.rgba[None, ..., 3].astype(np.float32) / 255.0
    alphas = np.ascontiguousarray(views[..., 3], np.float32)
    voted = hull_distance(alphas, cameras, photo.lens, resolution, half_extent, settings.views.outvoted)
    within = hull_distance(own, photo.camera[None], photo.lens, resolution, half_extent)
    # Only the vote is smoothed, so the photo's outline stays sharp.
    smooth = ndimage.gaussian_filter(voted, settings.views.smooth_cells)
    if not (np.maximum(smooth, within) < 0.0).any():
        raise Failure("reconstruct: expected sampled views of the photo's object, got views that share no volume")
    # The maximum of two signed distances is the intersection of their shapes.
    distance = np.maximum(fill_silhouette(smooth, photo, half_extent), within)
    return SignedField(without_small_parts(distance, settings.surface.keep_fraction), half_extent)


def fill_silhouette(distance: Grid, photo: Photo, half_extent: float) -> Grid:
    """Lower distances along the rays of the photo's object so far that each ray meets the surface.

    Along a ray all distances fall equally, so it meets the surface at the cell that the fewest views speak against.
    """
    resolution = distance.shape[0]
    # No more pixels than cells along an edge: every pixel has the centres of some cells.
    side = min(resolution, *photo.hw)
    alpha = adaptive_avg_pool2d(torch.from_numpy(photo.rgba[None, ..., 3].astype(np.float32) / 255.0), side)[0].numpy()
    places, _ = project_grid(grid_points(resolution, half_extent), photo.camera, photo.lens, (side, side))
    pixels = np.floor((places + 1.0) / 2.0 * side).astype(np.int64)
    seen = ((pixels >= 0) & (pixels < side)).all(axis=1)
    least = np.full((side, side), np.inf, np.float32)
    # `minimum.at` handles the many cells of a pixel; plain indexing would keep only the last.
    np.minimum.at(least, (pixels[seen, 1], pixels[seen, 0]), distance.reshape(-1)[seen])
    depth = LEAST_DEPTH_CELLS * 2.0 * half_extent / resolution
    missing = np.where((alpha > 0.5) & np.isfinite(least), np.maximum(least + depth, 0.0), 0.0).astype(np.float32)
    return np.asarray(distance - sample_image(missing[None], places)[0].reshape(distance.shape))
