"""The silhouette of a mesh in a camera."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.camera import Lens
from reconstruct.mesh import Mesh
from reconstruct.raster import rasterise


def silhouette(mesh: Mesh, cam_from_world: ArrayLike, lens: Lens, hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Return a mask (H, W): True where the mesh, seen from a camera (3, 4), covers the pixel's centre."""
    matrix = np.asarray(cam_from_world, np.float64)
    return np.asarray(rasterise(mesh.vertices, mesh.faces, matrix, lens, hw).face >= 0)
