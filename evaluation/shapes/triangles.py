"""Triangles without colours, and points on them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST_EXTENT = 1e-12


@dataclass(frozen=True)
class Triangles:
    """`vertices` (V, 3) and `faces` (F, 3), in the order of corners in the file."""

    vertices: Floats
    faces: Ints

    @property
    def corners(self) -> Floats:
        """Return the corners of each face, (F, 3, 3)."""
        return self.vertices[self.faces]

    @property
    def box(self) -> tuple[Floats, Floats]:
        """Return the least and greatest coordinates of the used vertices."""
        used = self.vertices[np.unique(self.faces)]
        return used.min(axis=0), used.max(axis=0)

    def transformed(self, matrix: Floats, shift: Floats | float = 0.0) -> "Triangles":
        """Apply a matrix (3, 3), then a shift (3,), to the vertices."""
        return Triangles(self.vertices @ np.asarray(matrix).T + shift, self.faces)


def check_triangles(mesh: Triangles, what: str) -> Triangles:
    """Return a mesh with only finite, used vertices. Raises ValueError if it has no face or no extent.

    `what` opens the sentence of the error.
    """
    if len(mesh.faces) == 0:
        raise ValueError(f"{what}: expected a mesh with faces, got {len(mesh.vertices)} vertices and no face")
    if mesh.faces.min() < 0 or mesh.faces.max() >= len(mesh.vertices):
        raise ValueError(
            f"{what}: expected faces over vertices 0 to {len(mesh.vertices) - 1}, "
            f"got {mesh.faces.min()} to {mesh.faces.max()}"
        )
    # Unused vertices would count in boxes and vertex samples.
    used, faces = np.unique(mesh.faces, return_inverse=True)
    vertices = np.asarray(mesh.vertices[used], np.float64)
    if not np.isfinite(vertices).all():
        raise ValueError(f"{what}: expected finite vertices, got NaN or infinity")
    if float(np.ptp(vertices, axis=0).max()) < LEAST_EXTENT:
        raise ValueError(f"{what}: expected a mesh with some extent, got all vertices at the same point")
    return Triangles(vertices, faces.reshape(-1, 3).astype(np.int64))


def face_normals(mesh: Triangles) -> tuple[Floats, Floats]:
    """Return unit normals (F, 3), zero for faces without area, and areas (F,)."""
    a, b, c = np.moveaxis(mesh.corners, 1, 0)
    crossed = np.cross(b - a, c - a)
    lengths = np.linalg.norm(crossed, axis=1)
    normals = np.divide(crossed, lengths[:, None], out=np.zeros_like(crossed), where=lengths[:, None] > 0.0)
    return normals, lengths / 2.0


def sample_surface(mesh: Triangles, count: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw `count` points uniformly by area; return points (N, 3) and the normals of their faces (N, 3).

    Raises ValueError for a mesh without area.
    """
    normals, areas = face_normals(mesh)
    total = areas.cumsum()
    if total[-1] <= 0.0:
        raise ValueError("expected a mesh with area, got only triangles without area")
    # The inverse of the cumulative area draws a face in proportion to its area.
    face = np.searchsorted(total, rng.random(count) * total[-1], side="right").clip(max=len(areas) - 1)
    u, v = rng.random((2, count, 1))
    folded = u + v > 1.0  # points of the parallelogram's other half
    u, v = np.where(folded, 1.0 - u, u), np.where(folded, 1.0 - v, v)
    a, b, c = np.moveaxis(mesh.corners[face], 1, 0)
    return a + u * (b - a) + v * (c - a), normals[face]
