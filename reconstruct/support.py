"""What true silhouettes demand of a shape inside their hull: each of their pixels is covered by some of it.

The object is within the hull and fills every silhouette. So a pixel that the hull covers and the shape misses refutes
an opening along its ray. A part is needed if it covers pixels that nothing else covers. A leftover inside a hollow is
not needed: in every view the walls cover its pixels.

Grids are indexed [x, y, z], negative inside, as in `reconstruct.hull`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from geometry.camera import Lens
from reconstruct.hull import Grid, cell_centres, project_grid

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

CERTAIN = 0.98
"""A pixel with more background than this leaves may be missed: its ray only grazes the object."""
LEAST_VIEWS = 2
"""A part is needed if it is alone on some pixel in this many views."""
REPAIR_CELLS = 0.5
"""How far the surface is moved outwards at the best cell of a ray that missed the shape."""
AROUND = np.ones((3, 3), bool)


def cell_points(cells: Mask, half_extent: float) -> NDArray[np.float32]:
    """Return the centres (N, 3) of the marked cells of a grid."""
    line = cell_centres(len(cells), half_extent).astype(np.float32)
    return np.stack([line[index] for index in np.nonzero(cells)], axis=1)


@dataclass(frozen=True)
class Silhouettes:
    """Masks `alphas` (V, H, W) in [0, 1] of cameras (V, 3, 4), and the cube of the grids they are compared with."""

    alphas: NDArray[np.float32]
    cameras: Floats
    lens: Lens
    half_extent: float

    def pixels(self, view: int, points: NDArray[np.float32]) -> Ints:
        """Return the pixels (N,) of points (N, 3) in a view, counted along its rows; the nearest if outside."""
        height, width = self.alphas.shape[1:]
        places, _ = project_grid(points, self.cameras[view], self.lens, (height, width))
        column = ((places[:, 0] + 1.0) * width / 2.0).astype(np.int64).clip(0, width - 1)
        row = ((places[:, 1] + 1.0) * height / 2.0).astype(np.int64).clip(0, height - 1)
        return np.asarray(row * width + column)

    def covered(self, pixels: Ints) -> Mask:
        """Return the flat mask (H·W,) of pixels and of those around them."""
        mask = np.zeros(self.alphas.shape[1:], bool)
        mask.reshape(-1)[pixels] = True
        # Centres of cells may leave out a pixel of a closed surface.
        return np.asarray(ndimage.binary_dilation(mask, AROUND).reshape(-1))


def fill_silhouettes(opened: Grid, hull: Grid, silhouettes: Silhouettes) -> Grid:
    """Close openings along rays that miss the shape, each at the cell with the least distance; never beyond the hull.

    A pixel counts if the hull covers it and the shape does not. Closing the whole ray would put beams through hollows.
    """
    inside = hull < 0.0
    points = cell_points(inside, silhouettes.half_extent)
    values = opened[inside]
    solid = values < 0.0
    lowered = np.zeros_like(values)
    depth = REPAIR_CELLS * 2.0 * silhouettes.half_extent / len(hull)
    for view, alpha in enumerate(silhouettes.alphas):
        pixels = silhouettes.pixels(view, points)
        missed = (alpha.reshape(-1) > CERTAIN) & ~silhouettes.covered(pixels[solid])
        on_ray = missed[pixels]
        least = np.full(missed.shape, np.inf, np.float32)
        # `minimum.at` handles the many cells of a pixel; plain indexing would keep only the last.
        np.minimum.at(least, pixels[on_ray], values[on_ray])
        lowered[on_ray] = np.maximum(lowered[on_ray], least[pixels[on_ray]] + depth)
    filled = opened.copy()
    filled[inside] = np.maximum(values - lowered, hull[inside])
    return filled


def without_needless_parts(values: Grid, keep_fraction: float, silhouettes: Silhouettes) -> Grid:
    """Make small parts positive that no silhouette needs, and closed hollows negative.

    Parts are small with fewer cells than `keep_fraction` of the largest. Cells that share a corner are connected.
    """
    labels, count = ndimage.label(values < 0.0, np.ones((3, 3, 3)))
    if count == 0:
        return values
    cells = np.bincount(labels.ravel())
    small = cells < keep_fraction * cells[1:].max()
    # Label 0 is everything outside.
    small[0] = False
    needless = small & (_views_in_need(labels, small, silhouettes) < LEAST_VIEWS)
    kept = np.where(needless[labels], np.abs(values), values)
    hollow = ndimage.binary_fill_holes(kept < 0.0) & (kept >= 0.0)
    return np.where(hollow, -np.abs(kept) - 1e-6, kept).astype(np.float32)


def _views_in_need(labels: Ints, small: Mask, silhouettes: Silhouettes) -> Ints:
    """Count for each label the views where a small part covers pixels of the silhouette that no large part covers."""
    needed = np.zeros(len(small), np.int64)
    if not small.any():
        return needed
    large = (labels > 0) & ~small[labels]
    # Seen from outside, the outermost cells cover all that the others do.
    shell = cell_points(large & ~ndimage.binary_erosion(large), silhouettes.half_extent)
    loose = small[labels]
    points, part = cell_points(loose, silhouettes.half_extent), labels[loose]
    for view, alpha in enumerate(silhouettes.alphas):
        alone = (alpha.reshape(-1) > 0.5) & ~silhouettes.covered(silhouettes.pixels(view, shell))
        needed += np.bincount(part[alone[silhouettes.pixels(view, points)]], minlength=len(small)) > 0
    return needed
