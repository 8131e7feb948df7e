"""The Chamfer distance of meshes of unit size in a fixed variant, and a quick filling for many large scans."""

import numpy as np
from numpy.typing import NDArray

from base.seeds import stable_rng
from evaluation.shapes.distances import chamfer_variants, nearest_points
from evaluation.shapes.triangles import Triangles, sample_surface

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

POINTS = 10_000
CELLS = 64
HALF_EXTENT = 0.52
"""Cells fill the cube [−.52, .52]³, which holds an object of unit size with a margin."""


def chamfer(a: tuple[Floats, Ints], b: tuple[Floats, Ints], seed: int = 0) -> float:
    """Return the mean of both directed mean distances between 10,000 points of each surface (vertices, faces).

    Distances are Euclidean. A surface against itself gives about .005 √area, the noise of the sampling.
    """
    first, _ = sample_surface(Triangles(*a), POINTS, stable_rng(seed, "chamfer", "a"))
    second, _ = sample_surface(Triangles(*b), POINTS, stable_rng(seed, "chamfer", "b"))
    return chamfer_variants(nearest_points(first, second))["mean"]


def occupied(vertices: Floats, faces: Ints, cells: int = CELLS) -> NDArray[np.bool_]:
    """Return which cell centres (cells, cells, cells), indexed [x, y, z], are inside the surface.

    The winding number decides, estimated by the signed crossings of six rays along the axes. So small holes in a scan
    spoil few cells, and parts that overlap count as their union. The exact solid angles of evaluation.shapes.voxels
    would take minutes for a scan.
    """
    total = np.zeros((cells,) * 3)
    for axis in range(3):
        turned = np.moveaxis(_winding_along_z(np.roll(vertices, 2 - axis, axis=1), faces, cells), 2, 0)
        # After the roll the axes are (axis + 1, axis + 2, axis); moving the last to the front gives a cyclic order.
        total += np.moveaxis(turned, (0, 1, 2), (axis, (axis + 1) % 3, (axis + 2) % 3))
    return np.asarray(total / 3.0 > 0.5)


def _winding_along_z(vertices: Floats, faces: Ints, cells: int) -> Floats:
    """Average the signed crossings above and below each cell centre, (x, y, z); 1 inside a closed surface."""
    corners = (vertices[faces] / HALF_EXTENT + 1.0) * (cells / 2.0) - 0.5  # cell k has its centre at k
    corners = corners + np.array([1.234e-6, 2.345e-6, 0.0])  # centres on an edge would count twice
    first = np.clip(np.ceil(corners[..., :2].min(1)), 0, cells).astype(np.int64)
    last = np.clip(np.floor(corners[..., :2].max(1)), -1, cells - 1).astype(np.int64)
    spans = np.maximum(last - first + 1, 0)
    counts = spans.prod(1)
    face = np.repeat(np.arange(len(faces)), counts)
    number = np.arange(len(face)) - np.repeat(np.cumsum(counts) - counts, counts)
    x = first[face, 0] + number // np.maximum(spans[face, 1], 1)
    y = first[face, 1] + number % np.maximum(spans[face, 1], 1)
    (x0, y0, z0), (x1, y1, z1), (x2, y2, z2) = (corners[face, k].T for k in range(3))
    area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    with np.errstate(divide="ignore", invalid="ignore"):
        w1 = ((x - x0) * (y2 - y0) - (x2 - x0) * (y - y0)) / area
        w2 = ((x1 - x0) * (y - y0) - (x - x0) * (y1 - y0)) / area
        w0 = 1.0 - w1 - w2
    inside = np.isfinite(w0) & (w0 >= 0) & (w1 >= 0) & (w2 >= 0)
    height = (w0 * z0 + w1 * z1 + w2 * z2)[inside]
    sign = np.sign(area[inside])
    steps = np.zeros((cells, cells, cells + 1))
    np.add.at(steps, (x[inside], y[inside], np.clip(np.ceil(height), 0, cells).astype(np.int64)), sign)
    below = np.cumsum(steps, axis=2)[..., :cells]  # crossings at or below each centre, upward faces counted +1
    above = steps.sum(2, keepdims=True) - below
    return np.asarray((above - below) / 2.0)
