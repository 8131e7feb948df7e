"""A surface from sampled views: a hull in which each cell is decided by a vote, within the photo's own silhouette.

A model draws the unseen sides of an object differently in each view. The hull of all silhouettes, the common part of
all guesses, is then too small. So a few views are outvoted at each cell. The photo itself is never outvoted.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from base.errors import Failure
from reconstruct.finish import Photo
from reconstruct.hull import hull_distance
from reconstruct.settings import ReconstructSettings
from reconstruct.surface import SignedField, without_small_parts

Floats = NDArray[np.float64]


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
    smooth = ndimage.gaussian_filter(voted, settings.views.smooth_cells)
    distance = np.maximum(smooth, within)
    if not (distance < 0.0).any():
        raise Failure("reconstruct: expected sampled views of the photo's object, got views that share no volume")
    return SignedField(without_small_parts(distance, settings.surface.keep_fraction), half_extent)
