"""What a camera sees of a mesh as black and white."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.camera import Lens
from reconstruct.mesh import Mesh
from reconstruct.raster import rasterise


def silhouette(mesh: Mesh, cam_from_world: ArrayLike, lens: Lens, hw: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels (H, W) whose centres the mesh covers, seen from a camera (3, 4)."""
    matrix = np.asarray(cam_from_world, np.float64)
    return np.asarray(rasterise(mesh.vertices, mesh.faces, matrix, lens, hw).face >= 0)
