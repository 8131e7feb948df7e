"""A signed distance field fitted directly to posed views: the visual hull, opened where colours contradict it.

Hull of the soft silhouettes → depth maps by plane sweep → signed distances fused from the confident depths (Curless and
Levoy, SIGGRAPH 1996), where the hull has cells to lose, no silhouette is left uncovered, and the floor of the opening
explains the views better. Where nothing is known the hull remains.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from base.errors import Failure
from geometry.camera import Lens
from reconstruct.depth_maps import DepthMap, Sweep, posed_views
from reconstruct.hull import Grid, hull_distance
from reconstruct.proof import without_refuted_openings
from reconstruct.settings import SurfaceSettings
from reconstruct.support import Silhouettes, cell_points, fill_silhouettes, without_needless_parts

Floats = NDArray[np.float64]

TRUNCATION_CELLS = 3.0
"""Fused distances are cut at this many cells on both sides of a depth."""
SKIN_CELLS = 2
"""Openings are continued by this many cells of the fine grid, a cell of the coarse grid."""
TRUSTED_CELLS = 1.2
"""Distances up to this many cells are taken from the field; beyond, the cells are counted."""


@dataclass(frozen=True)
class SignedField:
    """Signed distances in world units, negative inside: a grid [x, y, z] in the cube [−half_extent, half_extent]³."""

    distance: Grid
    half_extent: float

    @property
    def cell(self) -> float:
        """Return the edge of a cell in world units."""
        return 2.0 * self.half_extent / self.distance.shape[0]


def fit_surface(
    images: NDArray[np.float32], cameras: Floats, lens: Lens, settings: SurfaceSettings, half_extent: float
) -> SignedField:
    """Fit a surface to straight RGBA images (V, H, W, 4) in [0, 1], seen by cameras (V, 3, 4).

    Raises Failure when the silhouettes have no common volume.
    """
    silhouettes = Silhouettes(np.ascontiguousarray(images[..., 3], np.float32), cameras, lens, half_extent)
    hull = hull_distance(silhouettes.alphas, cameras, lens, settings.resolution, half_extent)
    if not (hull < 0.0).any():
        raise Failure("reconstruct: expected silhouettes of one object, got views that share no volume")
    # The colours of transparent pixels are arbitrary, and interpolation would mix them in.
    premultiplied = np.concatenate([images[..., :3] * images[..., 3:], images[..., 3:]], axis=-1).astype(np.float32)
    views = posed_views(premultiplied, cameras, lens)
    cell = 2.0 * half_extent / settings.sweep.resolution
    fine = hull
    for _ in range(settings.sweep.rounds):
        coarse = _resized(fine, settings.sweep.resolution)
        before = Sweep(measured_again(coarse, cell), half_extent, views, settings.sweep)
        maps = [before.depth_map(view) for view in range(len(cameras))]
        fused = fuse_depths(maps, fine, silhouettes, settings.sweep.enough_weight)
        opened = _opened(fine, coarse, ndimage.gaussian_filter(fused, settings.sweep.smooth_cells))
        if "silhouettes" in settings.sweep.checks:
            opened = fill_silhouettes(opened, hull, silhouettes)
        if "colours" in settings.sweep.checks:
            changed = measured_again(_resized(opened, settings.sweep.resolution), cell)
            after = Sweep(changed, half_extent, views, settings.sweep)
            opened = without_refuted_openings(opened, fine, before, after, settings.sweep.refuted)
        fine = opened
    return SignedField(without_needless_parts(fine, settings.keep_fraction, silhouettes), half_extent)


def fuse_depths(maps: list[DepthMap], around: Grid, silhouettes: Silhouettes, enough_weight: float) -> Grid:
    """Average the truncated signed distances to the depths of all maps, a grid as `around`, which is negative inside.

    Maps are of the silhouettes' cameras. Cells with less weight than `enough_weight` count as deep inside, as do those
    behind all depths.
    """
    cut = TRUNCATION_CELLS * 2.0 * silhouettes.half_extent / len(around)
    # Cells farther outside keep the truncated distance, so they are not computed.
    near = around < cut
    points = cell_points(near, silhouettes.half_extent)
    total, weights = torch.zeros(len(points)), torch.zeros(len(points))
    for view, each in enumerate(maps):
        pixels = torch.from_numpy(silhouettes.pixels(view, points))
        seen, weight = each.depth.reshape(-1)[pixels], each.weight.reshape(-1)[pixels]
        matrix = silhouettes.cameras[view].astype(np.float32)
        before = seen + torch.from_numpy(points @ matrix[2, :3] + matrix[2, 3])  # cameras look along −z
        # A depth says nothing about what is far behind it.
        known = torch.isfinite(seen) & (before > -cut)
        weight = torch.where(known, weight, 0.0)
        total += torch.where(known, weight * before.clamp(max=cut), 0.0)
        weights += weight
    fused = np.full(around.shape, cut, np.float32)
    fused[near] = torch.where(weights > enough_weight, total / weights.clamp(min=1e-6), -cut).numpy()
    return fused


def _opened(shape: Grid, coarse: Grid, fused: Grid) -> Grid:
    """Raise the distances of `shape` to the `fused`, a grid of equal resolution.

    Parts too thin for the `coarse` grid of the sweep stay: their depths are those of what is behind them.
    """
    thick = _resized((coarse < 0.0).astype(np.float32), len(shape)) > 0.5
    opening = thick & (shape < 0.0) & (fused > 0.0)
    # The outermost cells are missing in the coarse grid, and would close each opening by a skin.
    thick |= ndimage.binary_dilation(opening, np.ones((3, 3, 3)), iterations=SKIN_CELLS)
    return np.where(thick, np.maximum(fused, shape), shape).astype(np.float32)


def measured_again(values: Grid, cell: float) -> Grid:
    """Return signed distances to the zero level of `values`, a grid of the same sign.

    Beside the level, values are divided by the length of their gradient; farther away, distances between cells count.
    """
    steep = np.sqrt(sum(np.square(part) for part in np.gradient(values, cell)))
    beside = values / np.clip(steep, 0.3, 3.0)
    inside = values < 0.0
    outer = ndimage.distance_transform_edt(~inside) * cell - cell / 2.0
    inner = ndimage.distance_transform_edt(inside) * cell - cell / 2.0
    far = np.where(inside, -inner, outer)
    return np.where(np.abs(beside) < TRUSTED_CELLS * cell, beside, far).astype(np.float32)


def without_small_parts(values: Grid, keep_fraction: float) -> Grid:
    """Make parts with fewer cells than `keep_fraction` of the largest part positive, and closed hollows negative."""
    labels, count = ndimage.label(values < 0.0)
    if count == 0:
        return values
    cells = np.bincount(labels.ravel())
    small = cells < keep_fraction * cells[1:].max()
    # Label 0 is everything outside.
    small[0] = False
    kept = np.where(small[labels], np.abs(values), values)
    hollow = ndimage.binary_fill_holes(kept < 0.0) & (kept >= 0.0)
    return np.where(hollow, -np.abs(kept) - 1e-6, kept).astype(np.float32)


def _resized(values: Grid, resolution: int) -> Grid:
    """Interpolate a grid linearly at the cells' centres of another resolution."""
    size = (resolution,) * 3
    new = torch.nn.functional.interpolate(
        torch.from_numpy(values)[None, None].float(), size=size, mode="trilinear", align_corners=False
    )
    return np.asarray(new[0, 0].numpy())
