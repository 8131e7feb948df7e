"""The visible faces of a model: those with an area and some opacity."""

from typing import NamedTuple

import bmesh
import bpy
import numpy as np
from numpy.typing import NDArray

from render.blender.alpha import Faces, largest_alpha
from render.blender.culling import material_indices
from render.blender.normalise import Bounds, checked_bounds, face_vertices, hand_over
from render.blender.strays import find_strays, may_have_strays
from render.blender.surfaces import mesh_triangles
from render.blender.triangles import SURFACES, are_flat, drawn_triangles

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

LARGEST_UNSEEN = 0.5 / 255.0
"""Below this alpha nothing is left of a surface in a picture."""


FLATTENED = 1e-9
"""A matrix shrinking a direction to this share of another leaves faces without area."""


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
            # After the removal of objects: a mesh with faces left is edited once for all its users.
            _delete(bpy.data.meshes[name], faces)
    return count


def seen_framing() -> Framing:
    """The box around all faces with an area, without strays. Raises Refusal as `normalise.bounds` does."""
    pieces, unseen = _seen_points()
    if not pieces:
        return Framing(checked_bounds(face_vertices()), unseen, 0)
    low, high = checked_bounds(pieces)
    if not may_have_strays(np.concatenate(pieces)):
        return Framing((low, high), unseen, 0)
    whole = np.concatenate([corners for _, corners in drawn_triangles()] or [np.zeros((0, 3, 3))])
    whole = whole[~are_flat(whole)]
    stray = find_strays(whole)
    if not stray.any():
        return Framing((low, high), unseen, 0)
    balls = list(face_vertices({"POINTCLOUD"}))
    return Framing(checked_bounds([whole[~stray].reshape(-1, 3), *balls]), unseen, int(stray.sum()))


def _seen_points() -> tuple[list[Floats], int]:
    """World coordinates (N, 3) of the corners of faces with an area, piece by piece, and how many faces have none."""
    bpy.context.view_layer.update()
    known: dict[tuple[int, str], tuple[Floats, int]] = {}
    pieces, unseen = list(face_vertices({"POINTCLOUD"})), 0
    for instance in bpy.context.evaluated_depsgraph_get().object_instances:
        thing = instance.object
        if thing.type not in SURFACES or not instance.show_self:
            continue
        # Copies of a mesh that nothing deforms have the same points.
        is_plain = thing.type == "MESH" and not thing.modifiers and not thing.original.data.shape_keys
        key = (thing.original.data if is_plain else thing.original).as_pointer(), thing.type
        if key not in known:
            known[key] = _local_points(thing)
        points, flat = known[key]
        matrix = np.array(instance.matrix_world, np.float64)
        # Faces with an area of their own may have none where they are drawn, so these are measured in the world.
        if _is_flattening(matrix[:3, :3]):
            corners = _world_triangles(thing, matrix)
            wide = ~are_flat(corners)
            points, flat = corners[wide].reshape(-1, 3), int((~wide).sum())
        else:
            points = points @ matrix[:3, :3].T + matrix[:3, 3]
        unseen += flat
        if len(points):
            pieces.append(points)
    return pieces, unseen


def _is_flattening(linear: Floats) -> bool:
    """Whether a matrix (3, 3) makes next to nothing of some direction."""
    sizes = np.linalg.svd(linear, compute_uv=False) if np.isfinite(linear).all() else np.ones(3)
    return bool(sizes[2] <= FLATTENED * sizes[0])


def _local_points(thing: bpy.types.Object) -> tuple[Floats, int]:
    mesh = thing.to_mesh()
    try:
        if mesh is None or not mesh.polygons:
            return np.zeros((0, 3)), 0
        points, corners, _ = mesh_triangles(mesh)
        wide = ~are_flat(points[corners])
        used = np.zeros(len(points), bool)
        used[corners[wide]] = True
        return points[used], int((~wide).sum())
    finally:
        thing.to_mesh_clear()


def _world_triangles(thing: bpy.types.Object, matrix: Floats) -> Floats:
    mesh = thing.to_mesh()
    try:
        if mesh is None or not mesh.polygons:
            return np.zeros((0, 3, 3))
        points, corners, _ = mesh_triangles(mesh)
        return np.asarray((points @ matrix[:3, :3].T + matrix[:3, 3])[corners])
    finally:
        thing.to_mesh_clear()


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
