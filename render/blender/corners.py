"""Repair normals of the corners of faces, from the file, where they contradict the faces.

A viewer lights such a face all the same. To a path tracer its light comes through the object: the face is black.
"""

import bpy
import numpy as np
from numpy.typing import NDArray

OPPOSITE = -0.5
"""Highest cosine between a face and its corners' mean normal that counts as opposite. Leaves of trees often have
normals that point up, or away from the trunk, whatever way they face: those are meant."""


def turn_opposite_normals() -> int:
    """Turn the given normals of every face to the side that the face looks to; returns how many faces were turned.

    Exporters write such normals for mirrored parts, and Blender's glTF importer for skins on mirrored joints.
    """
    return sum(_turn(mesh) for mesh in bpy.data.meshes if mesh.has_custom_normals and len(mesh.polygons))


def _turn(mesh: bpy.types.Mesh) -> int:
    corners = np.empty(3 * len(mesh.loops), np.float32)
    mesh.corner_normals.foreach_get("vector", corners)
    corners = corners.reshape(-1, 3)
    faces, starts = np.empty(3 * len(mesh.polygons), np.float32), np.empty(len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("normal", faces)
    mesh.polygons.foreach_get("loop_start", starts)
    is_opposite = _are_opposite(faces.reshape(-1, 3), corners, starts)
    if is_opposite.any():
        sides = np.diff(starts, append=len(corners))
        corners[np.repeat(is_opposite, sides)] *= -1.0
        mesh.normals_split_custom_set(corners.tolist())
    return int(is_opposite.sum())


def _are_opposite(
    faces: NDArray[np.float32], corners: NDArray[np.float32], starts: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Which of the unit normals of faces (N, 3) the mean of their corners' normals points away from."""
    # The mean, because single corners of a smooth edge may well point away from a face.
    means = np.add.reduceat(corners, starts, axis=0)
    lengths = np.linalg.norm(means, axis=1)
    return np.asarray((means * faces).sum(axis=1) < OPPOSITE * lengths)
