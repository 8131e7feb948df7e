"""Mesh simplification for pages: vertices in the same cell of a grid are merged."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FINEST = 512
COARSER = 0.85


@dataclass(frozen=True)
class ColouredMesh:
    """Triangles with a colour per vertex: `vertices` (V, 3) float, `faces` (F, 3) int, `colours` (V, 3) uint8 sRGB."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    colours: NDArray[np.uint8]


def coloured_mesh(vertices: ArrayLike, faces: ArrayLike, colours: ArrayLike) -> ColouredMesh:
    """Check and convert a mesh; colours may be (V, 3) or (V, 4) uint8. Raises ValueError for a wrong shape or index."""
    points, triangles = np.asarray(vertices, np.float64), np.asarray(faces)
    paint = np.asarray(colours)
    if points.ndim != 2 or points.shape[1] != 3 or not len(points) or not np.isfinite(points).all():
        raise ValueError(f"expected finite vertices (V, 3) with V ≥ 1, got {points.shape}")
    if triangles.ndim != 2 or triangles.shape[1] != 3 or not len(triangles) or triangles.dtype.kind not in "iu":
        raise ValueError(f"expected whole-number faces (F, 3) with F ≥ 1, got {triangles.dtype} {triangles.shape}")
    if triangles.min() < 0 or triangles.max() >= len(points):
        raise ValueError(f"expected face indices in [0, {len(points)}), got {triangles.min()} to {triangles.max()}")
    if paint.dtype != np.uint8 or paint.ndim != 2 or paint.shape[0] != len(points) or paint.shape[1] not in (3, 4):
        raise ValueError(f"expected uint8 colours ({len(points)}, 3), got {paint.dtype} {paint.shape}")
    return ColouredMesh(points, triangles.astype(np.int64), paint[:, :3])


def simplify(mesh: ColouredMesh, *, max_faces: int, max_vertices: int) -> ColouredMesh:
    """Return the mesh itself within both limits, else its clustering on the finest grid within them."""
    cells = float(FINEST)
    smaller = mesh
    while (len(smaller.faces) > max_faces or len(smaller.vertices) > max_vertices) and cells >= 4:
        smaller = cluster_vertices(mesh, int(cells))
        cells *= COARSER
    return smaller


def cluster_vertices(mesh: ColouredMesh, cells: int) -> ColouredMesh:
    """Merge the vertices of each of `cells`³ cubes over the bounding box into their mean; drop collapsed faces."""
    low = mesh.vertices.min(axis=0)
    edge = max(float((mesh.vertices.max(axis=0) - low).max()), 1e-12) / cells
    cell = np.minimum(((mesh.vertices - low) / edge).astype(np.int64), cells - 1)
    _, member = np.unique(cell @ np.array([cells * cells, cells, 1]), return_inverse=True)
    counts = np.bincount(member)[:, None]
    vertices = np.stack([np.bincount(member, mesh.vertices[:, axis]) for axis in range(3)], axis=1) / counts
    colours = np.stack([np.bincount(member, mesh.colours[:, channel]) for channel in range(3)], axis=1) / counts
    faces = member[mesh.faces]
    # A face with two corners in the same cell has collapsed to a line.
    proper = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    # Faces that became the same triangle would fight for the same pixels.
    _, first = np.unique(np.sort(faces[proper], axis=1), axis=0, return_index=True)
    return ColouredMesh(vertices, faces[proper][np.sort(first)], np.rint(colours).astype(np.uint8))
