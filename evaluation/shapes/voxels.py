"""Solids on a grid: three ways of saying what is inside a mesh, and the IoU of two solids.

A grid samples `size`³ points, indexed [x, y, z]. `parity_fill` gives the voxels of the library mesh2sdf, used by the
published evaluations. `ray_fill` takes a majority of three directions. `winding_fill` also closes small holes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.shapes.triangles import Triangles

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Solid = NDArray[np.bool_]

CELLS = 2_000_000
"""Candidate pairs of a triangle and a column, or of a triangle and a point, handled at a time."""


@dataclass(frozen=True)
class Grid:
    """`size` samples along each axis, the first at `start`, `step` apart."""

    size: int
    start: float
    step: float

    @classmethod
    def of_mesh2sdf(cls, size: int) -> "Grid":
        """Return mesh2sdf's grid over [−1, 1): samples at −1 + 2i / size, so at corners of voxels."""
        return cls(size, -1.0, 2.0 / size)

    @classmethod
    def of_unit_cube(cls, size: int) -> "Grid":
        """Return the centres of `size`³ voxels of the cube with edge 1 around the origin."""
        return cls(size, -0.5 + 0.5 / size, 1.0 / size)


def volumetric_iou(first: Solid, second: Solid) -> float:
    """Return intersection over union of two solids on the same grid. Two empty solids have 0: nothing agrees."""
    union = int(np.count_nonzero(first | second))
    return int(np.count_nonzero(first & second)) / union if union else 0.0


def parity_fill(mesh: Triangles, grid: Grid) -> Solid:
    """Fill by the parity of crossings at or before each sample along +x, as mesh2sdf does with `fix` off.

    mesh2sdf rounds vertices to float32; so does this function. A sample's column through an edge or a corner belongs
    to a single triangle, by the same symbolic perturbation.
    """
    rounded = Triangles(mesh.vertices.astype(np.float32).astype(np.float64), mesh.faces)
    return _odd_crossings(rounded, grid, axis=0)


def ray_fill(mesh: Triangles, grid: Grid) -> Solid:
    """Fill where the parities along at least two of +x, +y and +z are odd. A single hole does no harm."""
    votes = sum(_odd_crossings(mesh, grid, axis).astype(np.int8) for axis in range(3))
    return np.asarray(votes >= 2)


def winding_fill(mesh: Triangles, grid: Grid) -> Solid:
    """Fill where the generalised winding number exceeds 1/2 (Jacobson et al. 2013).

    The number is the sum of the signed solid angles of all triangles over 4π. Faces must be oriented consistently.
    """
    ticks = grid.start + grid.step * np.arange(grid.size)
    points = np.stack(np.meshgrid(ticks, ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 3)
    low, high = mesh.box
    near = np.nonzero(((points >= low) & (points <= high)).all(axis=1))[0]  # outside the box nothing is inside
    inside = np.zeros(len(points), bool)
    # Every point meets every face, so fewer points at a time for more faces.
    at_once = max(1, CELLS // len(mesh.faces))
    for begin in range(0, len(near), at_once):
        part = near[begin : begin + at_once]
        inside[part] = np.abs(winding_numbers(mesh, points[part])) > 0.5
    return inside.reshape((grid.size,) * 3)


def winding_numbers(mesh: Triangles, points: Floats) -> Floats:
    """Return the winding number at each point (N,) by van Oosterom and Strackee's formula (1983)."""
    a, b, c = (mesh.corners[None, :, k] - points[:, None] for k in range(3))
    la, lb, lc = (np.linalg.norm(side, axis=-1) for side in (a, b, c))
    triple = np.einsum("nfk,nfk->nf", a, np.cross(b, c))
    below = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
    return np.asarray(np.arctan2(triple, below).sum(axis=1) / (2.0 * np.pi))


def _odd_crossings(mesh: Triangles, grid: Grid, axis: int) -> Solid:
    """Return where the number of crossings at or before a sample, along +`axis`, is odd; indexed [x, y, z]."""
    order = [axis, (axis + 1) % 3, (axis + 2) % 3]
    corners = (mesh.corners[..., order] - grid.start) / grid.step
    counts = np.zeros(grid.size**3, np.int64)
    first, last = _column_box(corners, grid.size)
    columns = ((last - first + 1).clip(min=0)).prod(axis=1)
    faces = np.nonzero(columns)[0]
    # Large triangles cover many columns, so parts are cut by columns and not by triangles.
    ends = columns[faces].cumsum()
    for part in np.split(faces, np.searchsorted(ends, np.arange(CELLS, ends[-1] if len(ends) else 0, CELLS))):
        np.add.at(counts, _crossings(corners[part], first[part], last[part], grid.size), 1)
    # Each sample counts the crossings up to it.
    odd = counts.reshape((grid.size,) * 3).cumsum(axis=0) % 2 == 1
    return np.ascontiguousarray(np.moveaxis(odd, [0, 1, 2], order))


def _column_box(corners: Floats, size: int) -> tuple[Ints, Ints]:
    """Return the first and last column (y, z) in each triangle's bounding box, (F, 2) each."""
    first = np.ceil(corners[..., 1:].min(axis=1)).clip(0, size - 1).astype(np.int64)
    last = np.floor(corners[..., 1:].max(axis=1)).clip(-1, size - 1).astype(np.int64)
    return first, last


def _crossings(corners: Floats, first: Ints, last: Ints, size: int) -> Ints:
    """Return the flat index [x, y, z] of the first sample at or after each crossing of a column and a triangle."""
    if len(corners) == 0:
        return np.zeros(0, np.int64)
    spans = last - first + 1
    counts = spans.prod(axis=1)
    face = np.repeat(np.arange(len(corners)), counts)
    number = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
    y = first[face, 0] + number // spans[face, 1]
    z = first[face, 1] + number % spans[face, 1]
    flat = corners[:, :, 1:][face] - np.stack([y, z], axis=1)[:, None]
    (s1, a), (s2, b), (s3, c) = (_orientation(flat[:, i], flat[:, j]) for i, j in ((1, 2), (2, 0), (0, 1)))
    # A column is inside a triangle if it is on the same side of all three edges.
    hit = (s1 != 0) & (s1 == s2) & (s1 == s3)
    weights = np.stack([a, b, c], axis=1)[hit]
    depth = (weights * corners[face[hit], :, 0]).sum(axis=1) / weights.sum(axis=1)
    x = np.ceil(depth).clip(min=0).astype(np.int64)  # a crossing before the grid counts for its first sample
    kept = x < size
    return np.asarray((x[kept] * size + y[hit][kept]) * size + z[hit][kept], np.int64)


def _orientation(p: Floats, q: Floats) -> tuple[Ints, Floats]:
    """Return the sign of the turn from `p` to `q`, (N, 2) each, and twice the signed area.

    A turn of zero is decided by the coordinates, as if all points were moved by tiny different amounts. The sign is 0
    only for equal points.
    """
    area = p[:, 1] * q[:, 0] - p[:, 0] * q[:, 1]
    tie = np.where(q[:, 1] != p[:, 1], np.sign(q[:, 1] - p[:, 1]), np.sign(p[:, 0] - q[:, 0]))
    return np.where(area != 0.0, np.sign(area), tie).astype(np.int64), area
