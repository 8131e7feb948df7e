"""Triangle meshes of signed distances: extraction, simplification to a number of faces, normals, and counts."""

from dataclasses import dataclass

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.measure import marching_cubes

from base.errors import Failure
from reconstruct.edges import collapse_edges, vertex_normals
from reconstruct.mesh import GREY, Mesh
from reconstruct.surface import SignedField

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class MeshFacts:
    """Counts of a mesh and its connected parts, and whether each edge has exactly two faces."""

    vertices: int
    faces: int
    components: int
    watertight: bool


def surface_mesh(field: SignedField, faces: int) -> Mesh:
    """Extract the zero level as a grey mesh with at most about `faces` faces. Raises Failure for a field without it."""
    if not (field.distance < 0.0).any():
        raise Failure("mesh: expected a field with something solid in it, got an empty field")
    # A positive layer around the grid closes the surface where the object touches the cube.
    padded = np.pad(field.distance, 1, constant_values=field.cell)
    corners, triangles, _, _ = marching_cubes(padded, level=0.0, gradient_direction="ascent")
    vertices = (corners.astype(np.float64) - 0.5) * field.cell - field.half_extent
    # scikit-image counts corners clockwise when the array is indexed [x, y, z].
    return simplified(vertices, triangles[:, ::-1].astype(np.int64), faces)


def simplified(vertices: Floats, faces: Ints, count: int) -> Mesh:
    """Make a grey mesh of about `count` faces at most."""
    vertices, faces = collapse_edges(vertices, faces, count)
    colours = np.full((len(vertices), 3), GREY, np.uint8)
    return Mesh(vertices, faces, vertex_normals(vertices, faces), colours)


def mesh_facts(mesh: Mesh) -> MeshFacts:
    """Count the mesh's vertices, faces and connected parts, and test whether it is closed."""
    shape = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    edges = coo_array((np.ones(len(shape.edges)), shape.edges.T), shape=(len(mesh.vertices),) * 2)
    parts = int(connected_components(edges, directed=False)[0])
    return MeshFacts(len(mesh.vertices), len(mesh.faces), parts, bool(shape.is_watertight))
