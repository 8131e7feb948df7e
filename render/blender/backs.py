"""Hidden backs that a view would meet first: where culling changes a picture, and does more than save light."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter

from geometry.camera import Lens, project
from render.blender.triangles import drawn_meshes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

CELLS = 32
"""Views are looked at in cells, so many along the longer edge."""
SAMPLES = 20_000
"""Points on the surface by which a view is judged, and the most triangles of which each has its middle among them."""
LEAST_SHARE = 0.01
"""Backs that are first in a smaller share of a view's covered cells change nothing that people would see."""
NEIGHBOURS = 3
"""A front in so many cells each way counts too: a lone cell at an outline may have caught backs only."""


class Surface(NamedTuple):
    """Points (N, 3) on what is drawn, the normal and the number of the face of each, and whether its back is hidden."""

    points: Floats
    normals: Floats
    face: Ints
    is_hidden: Flags


def count_first_backs(hidden: set[str], cameras: Floats, lens: Lens, hw: tuple[int, int]) -> int:
    """How many faces of the materials named `hidden` a view shows nothing of, though their back is first in it.

    `cameras` (V, 3, 4) are cam_from_world. Of more than `SAMPLES` triangles those that a sample met are counted.
    """
    if not hidden:
        return 0
    surface = _surface(hidden)
    height, width = (max(1, round(CELLS * edge / max(hw))) for edge in hw)
    is_first = np.zeros(len(surface.face), bool)
    for camera in cameras:
        pixels = project(surface.points, camera, lens, (height, width))
        inside = np.flatnonzero(((pixels >= 0.0) & (pixels < (width, height))).all(axis=1))
        cells = pixels[inside].astype(np.int64) @ np.array([1, width])
        towards = -camera[:, 3] @ camera[:, :3] - surface.points[inside]
        distance = np.linalg.norm(towards, axis=1)
        is_back = surface.is_hidden[inside] & (np.einsum("ij,ij->i", surface.normals[inside], towards) < 0.0)
        front = np.full(height * width, np.inf)
        np.minimum.at(front, cells[~is_back], distance[~is_back])
        # The nearest front of the neighbouring cells too: see `NEIGHBOURS`.
        front = minimum_filter(front.reshape(height, width), NEIGHBOURS, mode="nearest").ravel()
        is_ahead = is_back & (distance < front[cells])
        if len(np.unique(cells[is_ahead])) > LEAST_SHARE * len(np.unique(cells)):
            is_first[inside[is_ahead]] = True
    return len(np.unique(surface.face[is_first]))


def _surface(hidden: set[str]) -> Surface:
    """The middle of each triangle, unless there are too many, and points spread evenly over all."""
    triangles, faces, flags, count = list[Floats](), list[Ints](), list[Flags](), 0
    for drawn in drawn_meshes():
        triangles.append(drawn.corners)
        faces.append(drawn.polygons + count)
        flags.append(
            drawn.of_slots(
                [slot.material is not None and slot.material.name in hidden for slot in drawn.thing.material_slots]
            )
        )
        count += int(drawn.polygons.max()) + 1
    corners, face, is_hidden = np.concatenate(triangles), np.concatenate(faces), np.concatenate(flags)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    # A fixed seed: the same model must have the same count on every machine.
    rng = np.random.default_rng(0)
    areas = np.cumsum(np.linalg.norm(normals, axis=1))
    # One draw in each of equal parts of the area: spread more evenly than independent draws.
    steps = (np.arange(SAMPLES) + rng.random(SAMPLES)) / SAMPLES * areas[-1]
    chosen = np.searchsorted(areas, steps).clip(max=len(areas) - 1)
    points = np.einsum("nij,ni->nj", corners[chosen], rng.dirichlet((1.0, 1.0, 1.0), SAMPLES))
    if len(corners) <= SAMPLES:
        # Samples by area may miss small faces, so every middle is looked at where there are few.
        points = np.concatenate([corners.mean(axis=1), points])
        chosen = np.concatenate([np.arange(len(corners)), chosen])
    return Surface(points, normals[chosen], face[chosen], is_hidden[chosen])
