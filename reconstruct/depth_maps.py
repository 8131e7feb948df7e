"""Depth maps by plane sweep: where along each pixel's ray do neighbouring views agree on a colour?

The sweep starts from a shape around the object, at first its visual hull. A pixel's ray enters the shape at its entry
depth. If neighbours, all of which see the entry, disagree on its colour there, the surface is deeper: this is the test
of space carving (Kutulakos and Seitz, IJCV 2000). The depth where some of them agree best is then taken (Collins, CVPR
1996). Colours must not depend on the view: matt surfaces, fixed lights.

Images are (V, H, W, 4), premultiplied, in [0, 1]. Depths are along the camera's axis, in world units.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from geometry.camera import Lens, camera_centre, ray_directions
from reconstruct.hull import Grid
from reconstruct.settings import SweepSettings

Floats = NDArray[np.float64]

OPAQUE = 0.98
"""Only pixels without background in them get a depth."""
LEAST_ALPHA = 0.25
"""A colour with more background than this leaves is not compared."""
CONTRAST = 0.16
"""Colours are scaled to about this deviation over the object, at most by `MAX_GAIN`: dark objects differ by little."""
MAX_GAIN = 5.0
MOST_DIFFERENT = 0.25
"""A larger difference of colours counts as this much: a hidden view says only that it is hidden."""
BOX_CORNER = 0.9
"""No point of the unit box is farther from the origin than √3/2."""
TRACE_STEPS = 14


@dataclass(frozen=True)
class DepthMap:
    """Depths (H, W), infinite where the object is not seen, and the weight of each (H, W) in [0, 1]."""

    depth: Tensor
    weight: Tensor


@dataclass(frozen=True)
class PosedViews:
    """Views with a common lens: `rgb` (V, 3, H, W), scaled in contrast, `alpha` (V, H, W), and `cameras` (V, 3, 4)."""

    rgb: Tensor
    alpha: Tensor
    cameras: Floats
    lens: Lens

    @property
    def hw(self) -> tuple[int, int]:
        """Return height and width of the views."""
        return self.alpha.shape[1], self.alpha.shape[2]

    def rays(self, view: int) -> tuple[Tensor, Tensor]:
        """Return the camera's centre (3,) and the directions (H·W, 3) of its pixels, of depth 1."""
        # A row vector times R is Rᵀ v, from camera axes to the world.
        directions = ray_directions(self.lens, self.hw).reshape(-1, 3) @ self.cameras[view][:, :3]
        centre = camera_centre(self.cameras[view])
        return torch.from_numpy(centre.astype(np.float32)), torch.from_numpy(directions.astype(np.float32))

    def project(self, view: int, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return places (N, 2) of points (N, 3), from −1 to 1 across a view, and their depths (N,)."""
        matrix = torch.from_numpy(self.cameras[view].astype(np.float32))
        in_cam = points @ matrix[:, :3].T + matrix[:, 3]
        depth = (-in_cam[:, 2]).clamp(min=1e-6)
        focal = 2.0 * self.lens.focal_px(self.hw)
        scale = torch.tensor([focal / self.hw[1], -focal / self.hw[0]])
        return in_cam[:, :2] / depth[:, None] * scale, depth


def posed_views(images: NDArray[np.float32], cameras: Floats, lens: Lens) -> PosedViews:
    """Prepare premultiplied images (V, H, W, 4) for a sweep."""
    opaque = images[images[..., 3] > OPAQUE][:, :3]
    deviation = float(opaque.std(0).mean()) if len(opaque) else CONTRAST
    gain = float(np.clip(CONTRAST / max(deviation, 1e-6), 1.0, MAX_GAIN))
    rgb = torch.from_numpy(np.ascontiguousarray(images[..., :3].transpose(0, 3, 1, 2), np.float32)) * gain
    return PosedViews(rgb, torch.from_numpy(np.ascontiguousarray(images[..., 3], np.float32)), cameras, lens)


class _Shape:
    """A signed distance grid, read by interpolation."""

    def __init__(self, distance: Grid, half_extent: float) -> None:
        self.grid = torch.from_numpy(np.ascontiguousarray(distance, np.float32))[None, None]
        self.half_extent = half_extent
        self.cell = 2.0 * half_extent / distance.shape[0]

    def at(self, points: Tensor) -> Tensor:
        """Return the distance at points (..., 3)."""
        # The last axis of the grid is z, and `grid_sample` wants the coordinate of the last axis first.
        where = (points / self.half_extent).flip(-1).reshape(1, 1, 1, -1, 3)
        seen: Tensor = functional.grid_sample(self.grid, where, padding_mode="border", align_corners=False)
        return seen.reshape(points.shape[:-1])


def entry_depths(shape: _Shape, views: PosedViews, view: int) -> Tensor:
    """Trace each pixel's ray to the shape's surface; depths (H·W,), infinite for rays without a hit."""
    centre, directions = views.rays(view)
    rows = torch.nonzero(views.alpha[view].reshape(-1) > 0.5)[:, 0]
    lengths = directions[rows].norm(dim=1)
    radius = float(centre.norm())
    # Nothing of the object is nearer to the camera than this.
    depth = torch.full((len(rows),), radius - BOX_CORNER)
    for _ in range(TRACE_STEPS):
        distance = shape.at(centre + directions[rows] * depth[:, None])
        # `lengths` turns a distance along the ray into a depth. Steps back are short: a trace that overshot must not
        # leave through the side it came from.
        depth = depth + (distance / lengths).clamp(min=-2.0 * shape.cell)
    left = shape.at(centre + directions[rows] * depth[:, None])
    hit = (left.abs() < 1.5 * shape.cell) & (depth < radius + BOX_CORNER)
    entries = torch.full((len(directions),), torch.inf)
    entries[rows] = torch.where(hit, depth, torch.inf)
    return entries


class Sweep:
    """The sweep of each view against its neighbours, through the shape of a signed `distance` grid [x, y, z]."""

    def __init__(self, distance: Grid, half_extent: float, views: PosedViews, settings: SweepSettings) -> None:
        self.shape, self.views, self.settings = _Shape(distance, half_extent), views, settings
        self.entries = [entry_depths(self.shape, views, view) for view in range(len(views.cameras))]
        centres = camera_centre(views.cameras)
        unit = centres / np.linalg.norm(centres, axis=1, keepdims=True)
        # Stable, so that equally near views have the same order on every machine.
        nearest = np.argsort(-(unit @ unit.T), axis=1, kind="stable")
        self.neighbours = [
            [int(other) for other in row if other != view][: settings.neighbours] for view, row in enumerate(nearest)
        ]

    def depth_map(self, view: int) -> DepthMap:
        """Return the depth map of a view, no nearer than the shape."""
        views, settings, entry, neighbours = self.views, self.settings, self.entries[view], self.neighbours[view]
        hw = views.hw
        rows = torch.nonzero(torch.isfinite(entry) & (views.alpha[view].reshape(-1) > OPAQUE))[:, 0]
        if len(rows) == 0 or len(neighbours) < settings.best:
            return DepthMap(entry.reshape(hw), torch.zeros(hw))
        centre, _ = views.rays(view)
        planes = torch.linspace(float(entry[rows].min()), float(centre.norm()) + BOX_CORNER * 0.67, settings.planes)
        costs = self._costs(view, rows, planes)
        costs = _averaged_costs(costs, rows, hw)
        least, plane = costs.min(1)
        depth = planes[plane] + _vertex_offset(costs, plane) * (planes[1] - planes[0])
        disagreement = _averaged(self.disagreement(view, rows), rows, hw)[rows]
        deeper = (disagreement > settings.inconsistent) & (least < settings.better * disagreement)
        # A consistent entry is evidence for the shape only as far as there is texture to disagree on.
        contrast = _local_deviation(views.rgb[view].mean(0), rows)
        agreed = (disagreement <= settings.inconsistent) * (contrast / 0.04).clamp(max=1.0) * settings.agreed_weight
        found, weight = entry.clone(), torch.zeros_like(entry)
        found[rows] = torch.where(deeper, depth, entry[rows])
        weight[rows] = torch.where(deeper, torch.ones_like(depth), agreed)
        return _without_outliers(entry, found, weight, 2.0 * float(planes[1] - planes[0]), hw)

    def _costs(self, view: int, rows: Tensor, planes: Tensor) -> Tensor:
        """Return the mean difference to the best neighbours at each plane (N, planes); NaN outside the shape."""
        centre, directions = self.views.rays(view)
        points = centre + directions[rows][:, None] * planes[None, :, None]
        step = planes[1] - planes[0]
        inside = planes[None] >= self.entries[view][rows, None] - 0.5 * step
        left = (self.shape.at(points) > 0.5 * self.shape.cell) & (
            planes[None] > self.entries[view][rows, None] + 1.5 * step
        )
        # Planes after the ray has left the shape belong to another part, which this pixel cannot see.
        inside &= torch.cumsum(left, 1) == 0
        ray, plane = torch.nonzero(inside, as_tuple=True)
        colours = self.views.rgb[view].reshape(3, -1)[:, rows[ray]]
        some = points[ray, plane]
        differences = torch.stack([self._difference(other, some, colours)[0] for other in self.neighbours[view]])
        costs = torch.full(inside.shape, torch.nan)
        # Only the best neighbours count, because the point is hidden from some of them.
        costs[ray, plane] = differences.topk(self.settings.best, dim=0, largest=False).values.mean(0)
        return costs

    def _difference(self, other: int, points: Tensor, colours: Tensor) -> tuple[Tensor, Tensor]:
        """Return the difference (N,) of colours (3, N) to those of a view at points (N, 3), and whether it sees them.

        A view sees points up to two cells behind its own entry depth, and not where it is nearly transparent.
        """
        places, depth = self.views.project(other, points)
        seen = functional.grid_sample(
            self.views.rgb[other][None], places[None, None], padding_mode="border", align_corners=False
        )[0, :, 0]
        height, width = self.views.hw
        column = ((places[:, 0] + 1.0) * width / 2.0).long().clamp(0, width - 1)
        row = ((places[:, 1] + 1.0) * height / 2.0).long().clamp(0, height - 1)
        visible = depth < self.entries[other][row * width + column] + 2.0 * self.shape.cell
        # Colours are divided by alpha: on the outline they are mixed with the background, and would disagree with all
        # others, so that thin parts would be opened as if they were hollows.
        alpha = functional.grid_sample(
            self.views.alpha[other][None, None], places[None, None], padding_mode="border", align_corners=False
        )[0, 0, 0]
        visible &= alpha > LEAST_ALPHA
        seen = seen / alpha.clamp(min=LEAST_ALPHA)
        return (seen - colours).abs().mean(0).clamp(max=MOST_DIFFERENT), visible

    def disagreement(self, view: int, rows: Tensor) -> Tensor:
        """Return the mean difference (N,) of the pixels `rows` to all neighbours with a view of the entry point.

        It is 0 where fewer than 3 see it.
        """
        centre, directions = self.views.rays(view)
        points = centre + directions[rows] * self.entries[view][rows, None]
        colours = self.views.rgb[view].reshape(3, -1)[:, rows]
        total, count = torch.zeros(len(rows)), torch.zeros(len(rows))
        for other in self.neighbours[view]:
            difference, visible = self._difference(other, points, colours)
            total += torch.where(visible, difference, 0.0)
            count += visible
        return torch.where(count >= 3, total / count.clamp(min=1.0), 0.0)


def _box(image: Tensor) -> Tensor:
    """Average 3 × 3 pixels of images (C, H, W)."""
    return functional.avg_pool2d(image[:, None], 3, 1, 1)[:, 0]


def _averaged_costs(costs: Tensor, rows: Tensor, hw: tuple[int, int]) -> Tensor:
    """Average costs (N, planes) of the pixels `rows` over 3 × 3 pixels on each plane; 9 where a pixel has no cost."""
    total, count = torch.zeros(costs.shape[1], hw[0] * hw[1]), torch.zeros(costs.shape[1], hw[0] * hw[1])
    total[:, rows], count[:, rows] = costs.nan_to_num(0.0).T, (~costs.isnan()).float().T
    mean = (_box(total.view(-1, *hw)) / _box(count.view(-1, *hw)).clamp(min=1e-6)).view(-1, hw[0] * hw[1])
    # Real costs are at most `MOST_DIFFERENT`, so 9 never wins and is easy to recognise.
    return torch.where(costs.isnan(), 9.0, mean[:, rows].T)


def _averaged(values: Tensor, rows: Tensor, hw: tuple[int, int]) -> Tensor:
    """Average values (N,) of the pixels `rows` over the 3 × 3 pixels with values; (H·W,)."""
    total, count = torch.zeros(hw[0] * hw[1]), torch.zeros(hw[0] * hw[1])
    total[rows], count[rows] = values, 1.0
    return (_box(total.view(1, *hw)) / _box(count.view(1, *hw)).clamp(min=1e-6)).view(-1)


def _local_deviation(brightness: Tensor, rows: Tensor) -> Tensor:
    """Return the deviation over 3 × 3 pixels of an image (H, W), at the pixels `rows`; (N,)."""
    # The variance is E[x²] − E[x]², which rounding can make slightly negative.
    mean, square = _box(brightness[None]), _box(brightness[None].square())
    return (square - mean.square()).clamp(min=0.0).sqrt().reshape(-1)[rows]


def _vertex_offset(costs: Tensor, plane: Tensor) -> Tensor:
    """Return the vertex (N,) of the parabola through the least cost and its neighbours, in planes from the least."""
    before, after = (costs.gather(1, (plane + side).clamp(0, costs.shape[1] - 1)[:, None])[:, 0] for side in (-1, 1))
    least = costs.gather(1, plane[:, None])[:, 0]
    bend = before - 2.0 * least + after
    usable = (before < 5.0) & (after < 5.0) & (bend > 1e-6)
    return torch.where(usable, 0.5 * (before - after) / bend.clamp(min=1e-6), 0.0).clamp(-0.5, 0.5)


def _without_outliers(entry: Tensor, found: Tensor, weight: Tensor, tolerance: float, hw: tuple[int, int]) -> DepthMap:
    """Replace depths behind the entry by their median over 3 × 3 pixels; far from it, the weight is 0."""
    behind = torch.where(torch.isfinite(entry), found - entry, 0.0).nan_to_num(0.0).view(1, 1, *hw)
    around = functional.unfold(functional.pad(behind, (1, 1, 1, 1), mode="replicate"), 3)[0]
    median = around.median(dim=0).values
    close = (median - behind.reshape(-1)).abs() < tolerance
    return DepthMap((entry + median).view(hw), torch.where(close, weight, 0.0).view(hw))
