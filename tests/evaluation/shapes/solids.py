"""Small closed meshes with known geometry."""

import numpy as np

from evaluation.shapes.triangles import Triangles


def box_mesh(
    half: tuple[float, float, float] = (0.5, 0.5, 0.5), centre: tuple[float, float, float] = (0, 0, 0)
) -> Triangles:
    """A box of 12 triangles, oriented outwards."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float) * half + centre
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [triangle for a, b, c, d in quads for triangle in ((a, b, c), (a, c, d))]
    return Triangles(corners, np.array(faces, np.int64))


def sphere_mesh(radius: float = 0.5, rings: int = 60) -> Triangles:
    """A sphere of `rings` × 2 `rings` quads cut in two, oriented outwards."""
    around = 2 * rings
    polar, azimuth = np.meshgrid(np.linspace(0, np.pi, rings + 1), np.arange(around) * np.pi / rings, indexing="ij")
    points = np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], -1)
    faces = []
    for row in range(rings):
        for column in range(around):
            a, b = row * around + column, row * around + (column + 1) % around
            if row:
                faces.append((a, a + around, b))
            if row < rings - 1:
                faces.append((b, a + around, b + around))
    return Triangles(radius * points.reshape(-1, 3), np.array(faces, np.int64))


def plane_mesh(z: float, side: float = 1.0) -> Triangles:
    """A square in the plane of height z."""
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) * side / 2 + [0, 0, z]
    return Triangles(corners, np.array([[0, 1, 2], [0, 2, 3]], np.int64))
