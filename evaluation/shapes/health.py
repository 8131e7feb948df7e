"""The health of a mesh: what a printer, a game engine or a metric of solids may trip over."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from evaluation.shapes.triangles import Triangles, face_normals

SAME_POINT = 1e-9
"""Vertices this close, in longest edges of the box, count as a single vertex."""


@dataclass(frozen=True, kw_only=True)
class MeshHealth:
    """Counts over a mesh with merged vertices.

    An open edge has one face, a branching edge more than two. A flipped edge has two faces in the same direction.
    `is_watertight` means closed, without branching and consistently oriented. `volume` is signed: negative inside out.
    """

    vertices: int
    faces: int
    parts: int
    open_edges: int
    branching_edges: int
    flipped_edges: int
    flat_faces: int
    euler: int
    area: float
    volume: float

    @property
    def is_watertight(self) -> bool:
        """Whether the mesh bounds a solid."""
        return not (self.open_edges or self.branching_edges or self.flipped_edges)


def measure_health(mesh: Triangles) -> MeshHealth:
    """Measure a mesh. Faces whose merged corners coincide are flat and bound nothing."""
    merged = merge_vertices(mesh)
    a, b, c = merged.faces.T
    flat = (a == b) | (b == c) | (c == a)
    faces = merged.faces[~flat]
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    sides = np.sort(edges, axis=1)
    unique, index, counts = np.unique(sides, axis=0, return_inverse=True, return_counts=True)
    # In a consistent mesh two faces run along their common edge in opposite directions.
    forward = np.bincount(index.reshape(-1), edges[:, 0] < edges[:, 1], len(unique))
    used = np.unique(faces)
    _, areas = face_normals(merged)
    return MeshHealth(
        vertices=len(used),
        faces=len(mesh.faces),
        parts=_count_parts(len(merged.vertices), sides, used),
        open_edges=int((counts == 1).sum()),
        branching_edges=int((counts > 2).sum()),
        flipped_edges=int(((counts == 2) & (forward != 1)).sum()),
        flat_faces=int(flat.sum()),
        euler=len(used) - len(unique) + len(faces),
        area=float(areas.sum()),
        # The signed volumes of the tetrahedra between each face and the origin.
        volume=float(np.linalg.det(merged.vertices[faces]).sum() / 6.0),
    )


def merge_vertices(mesh: Triangles) -> Triangles:
    """Merge vertices at the same point: seams of textures are not holes."""
    low, high = mesh.box
    cell = np.round((mesh.vertices - low) / (float((high - low).max()) * SAME_POINT)).astype(np.int64)
    _, first, index = np.unique(cell, axis=0, return_index=True, return_inverse=True)
    return Triangles(mesh.vertices[first], index.reshape(-1)[mesh.faces])


def _count_parts(vertices: int, sides: np.ndarray, used: np.ndarray) -> int:
    joined = coo_matrix((np.ones(len(sides), bool), (sides[:, 0], sides[:, 1])), shape=(vertices, vertices))
    _, labels = connected_components(joined, directed=False)
    return len(np.unique(labels[used]))
