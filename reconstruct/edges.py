"""Fewer faces for a triangle mesh, and the normals of what is left."""

import fast_simplification
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def collapse_edges(vertices: Floats, faces: Ints, count: int) -> tuple[Floats, Ints]:
    """Collapse edges of least quadric error until about `count` faces are left (Garland and Heckbert, 1997).

    `vertices` are (V, 3) and `faces` (F, 3); a mesh of at most `count` faces stays as it is.
    """
    if len(faces) <= count:
        return vertices, faces
    less, fewer = fast_simplification.simplify(vertices.astype(np.float32), faces.astype(np.int32), target_count=count)
    return np.asarray(less, np.float64), np.asarray(fewer, np.int64)


def vertex_normals(vertices: Floats, faces: Ints) -> Floats:
    """Average the normals of the faces at each vertex, by area; unit (V, 3)."""
    corners = vertices[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(total, faces[:, corner], across)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    # A vertex of flat triangles alone has no direction; up is as good as any, and valid glTF.
    return np.where(length > 1e-12, total / np.maximum(length, 1e-12), [0.0, 0.0, 1.0])
