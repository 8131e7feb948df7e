"""What of a model can be seen: faces with an area and some opacity."""

from typing import NamedTuple

import bmesh
import bpy
import numpy as np
from numpy.typing import NDArray

from render.blender.alpha import Faces, largest_alpha
from render.blender.culling import material_indices
from render.blender.normalise import Bounds, checked_bounds, face_vertices, hand_over
from render.blender.strays import strays
from render.blender.triangles import are_flat, drawn_triangles

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

LARGEST_UNSEEN = 0.5 / 255.0
"""Below this alpha nothing is left of a surface in a picture."""


class Framing(NamedTuple):
    """The box to frame, and how many faces it leaves out: unseen ones, and strays."""

    bounds: Bounds
    unseen: int
    stray: int


def remove_transparent_faces(scene: bpy.types.Scene) -> int:
    """Remove all faces whose material is fully transparent; returns how many, counted for each place."""
    things = [thing for thing in scene.objects if thing.type == "MESH" and thing.data.polygons]
    gone: dict[str, Flags] = {}
    count = 0
    for thing in things:
        if thing.data.name not in gone:
            gone[thing.data.name] = _clear_faces(thing)
        count += int(gone[thing.data.name].sum())
    for thing in things:
        if gone[thing.data.name].all():
            if thing.children:
                hand_over(scene, thing)
            bpy.data.objects.remove(thing)
    for name, faces in gone.items():
        if faces.any() and not faces.all():
            _delete(bpy.data.meshes[name], faces)
    return count


def seen_framing() -> Framing:
    """The box around all faces with an area, without strays. Raises Refusal as `normalise.bounds` does."""
    pieces, unseen = list[Floats](), 0
    for _, corners in drawn_triangles():
        flat = are_flat(corners)
        unseen += int(flat.sum())
        pieces.append(corners[~flat])
    corners = np.concatenate(pieces) if pieces else np.zeros((0, 3, 3))
    if not len(corners):
        return Framing(checked_bounds(face_vertices()), unseen, 0)
    stray = strays(corners)
    balls = list(face_vertices({"POINTCLOUD"}))
    return Framing(checked_bounds([corners[~stray].reshape(-1, 3), *balls]), unseen, int(stray.sum()))


def _clear_faces(thing: bpy.types.Object) -> Flags:
    index = material_indices(thing)
    clear = np.zeros(len(index), bool)
    for number, slot in enumerate(thing.material_slots):
        chosen = index == number
        clear |= chosen & bool(
            chosen.any() and largest_alpha(slot.material, Faces(thing.data, chosen)) < LARGEST_UNSEEN
        )
    return clear


def _delete(mesh: bpy.types.Mesh, faces: Flags) -> None:
    work = bmesh.new()
    work.from_mesh(mesh)
    work.faces.ensure_lookup_table()
    bmesh.ops.delete(work, geom=[work.faces[number] for number in np.flatnonzero(faces)], context="FACES")
    work.to_mesh(mesh)
    work.free()
