"""Move a model into the unit box: centred at the origin, longest edge 1. Only a parent object moves it."""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Vector
from numpy.typing import NDArray

from render.blender.refusal import Refusal
from render.job import Outcome

Bounds = tuple[NDArray[np.float64], NDArray[np.float64]]
"""The lowest and the highest coordinates (3,)."""

GEOMETRY = {"MESH", "CURVE", "SURFACE", "FONT", "META", "POINTCLOUD"}
NOT_OURS = {"LIGHT", "CAMERA", "LIGHT_PROBE", "SPEAKER", "VOLUME", "CURVES", "GREASEPENCIL"}
"""What lights, looks or makes noise, and what has no surface: smoke, hair, drawings."""
PASSES = 3
"""The number of corrections. With matrices in 32 bits, a correction far from the origin leaves a remainder."""


def normalise(scene: bpy.types.Scene, measure: Callable[[], Bounds] | None = None) -> dict[str, Any]:
    """Put everything visible under a single parent, to centre its bounds and make their longest edge 1.

    `measure` gives the bounds, by default those of all faces. Lights and cameras of the model are removed first.
    Returns the map x ↦ scale · (x − centre) and the bounds before. Raises Refusal for a model without faces, without
    extent or with coordinates that are not finite.
    """
    measure = measure or bounds
    remove_foreign(scene)
    low, high = measure()
    extent = float((high - low).max())
    # `not >` instead of `<=`: a NaN must fail too.
    if not extent > 0.0:
        raise Refusal(Outcome.EMPTY, "expected a model with an extent, got all points at the same position")
    if not has_area(extent):
        raise Refusal(Outcome.EMPTY, "expected a model with a surface, got faces without area")
    root = bpy.data.objects.new("root", None)
    scene.collection.objects.link(root)
    for thing in list(scene.objects):
        if thing.parent is None and thing is not root:
            # The root alone is moved, so animations and nested transforms stay as they are.
            thing.parent = root
    scale, centre = 1.0 / extent, (low + high) / 2.0
    for _ in range(PASSES):
        root.matrix_world = Matrix.Scale(scale, 4) @ Matrix.Translation(Vector((-centre).tolist()))
        now_low, now_high = measure()
        rest = (now_low + now_high) / 2.0
        if abs(rest).max() < 1e-6:
            break
        centre = centre + rest / scale
    return {"scale": scale, "centre": centre.tolist(), "bounds": [low.tolist(), high.tolist()]}


def remove_foreign(scene: bpy.types.Scene) -> None:
    """Remove the model's own lights, cameras and the like; what hangs on one hangs on an empty in its place."""
    for thing in [thing for thing in scene.objects if thing.type in NOT_OURS]:
        if thing.children:
            hand_over(scene, thing)
        bpy.data.objects.remove(thing)


def hand_over(scene: bpy.types.Scene, thing: bpy.types.Object) -> None:
    """Hang the children of an object on an empty in its place."""
    replacement = bpy.data.objects.new(thing.name, None)
    scene.collection.objects.link(replacement)
    replacement.parent = thing.parent
    replacement.matrix_parent_inverse = thing.matrix_parent_inverse
    replacement.matrix_basis = thing.matrix_basis
    for child in thing.children:
        inverse = child.matrix_parent_inverse.copy()
        # Setting a parent resets the inverse, so it is put back.
        child.parent = replacement
        child.matrix_parent_inverse = inverse


def bounds() -> Bounds:
    """Lowest and highest coordinates (3,) over every evaluated vertex that belongs to a face, instances included."""
    return checked_bounds(face_vertices())


def checked_bounds(pieces: Iterable[NDArray[np.float64]]) -> Bounds:
    """Lowest and highest coordinates (3,) of points (N, 3). Raises Refusal for none, and for what is no number."""
    lows, highs = [], []
    for vertices in pieces:
        if not np.isfinite(vertices).all():
            raise Refusal(Outcome.CORRUPT, "expected finite coordinates, got infinities or NaN")
        lows.append(vertices.min(axis=0))
        highs.append(vertices.max(axis=0))
    if not lows:
        raise Refusal(Outcome.EMPTY, "expected a model with faces, got nothing")
    return np.min(lows, axis=0), np.max(highs, axis=0)


def face_vertices(kinds: Collection[str] = GEOMETRY) -> Iterator[NDArray[np.float64]]:
    """Yield world coordinates (N, 3) of the vertices of faces, piece by piece, evaluated at the current frame.

    `kinds` are the included types of objects.
    """
    bpy.context.view_layer.update()
    depsgraph = bpy.context.evaluated_depsgraph_get()
    local: dict[tuple[int, str], NDArray[np.float64]] = {}
    for instance in depsgraph.object_instances:
        thing = instance.object
        if thing.type not in kinds or not instance.show_self:
            continue
        # Evaluated objects are temporary, so the original identifies copies.
        key = thing.original.as_pointer(), thing.type
        if key not in local:
            local[key] = _local_balls(thing) if thing.type == "POINTCLOUD" else _local_vertices(thing)
        if len(local[key]):
            matrix = np.array(instance.matrix_world, np.float64)
            yield local[key] @ matrix[:3, :3].T + matrix[:3, 3]


def has_area(extent: float) -> bool:
    """Whether any face, or any ball of a point cloud, is more than a line in a model of that extent."""
    for instance in bpy.context.evaluated_depsgraph_get().object_instances:
        thing = instance.object
        # Balls have an area whatever their points do.
        if thing.type == "POINTCLOUD":
            return True
        if thing.type in GEOMETRY and instance.show_self and _area(thing, instance.matrix_world) > 1e-12 * extent**2:
            return True
    return False


def _area(thing: bpy.types.Object, world_from_local: Matrix) -> float:
    mesh = thing.to_mesh()
    try:
        if mesh is None or not mesh.polygons:
            return 0.0
        areas = np.empty(len(mesh.polygons), np.float32)
        mesh.polygons.foreach_get("area", areas)
        return float(areas.sum(dtype=np.float64)) * float(max(world_from_local.to_scale(), key=abs)) ** 2
    finally:
        thing.to_mesh_clear()


def _local_balls(thing: bpy.types.Object) -> NDArray[np.float64]:
    points = thing.data.points
    flat, radii = np.empty(len(points) * 3, np.float32), np.empty(len(points), np.float32)
    points.foreach_get("co", flat)
    points.foreach_get("radius", radii)
    centres = np.asarray(flat.reshape(-1, 3), np.float64)
    # The two corners of each ball's box are enough for bounds.
    return np.concatenate([centres - radii[:, None], centres + radii[:, None]])


def _local_vertices(thing: bpy.types.Object) -> NDArray[np.float64]:
    mesh = thing.to_mesh()
    try:
        if mesh is None or not mesh.polygons:
            return np.empty((0, 3))
        flat = np.empty(len(mesh.vertices) * 3, np.float32)
        mesh.vertices.foreach_get("co", flat)
        corners = np.empty(len(mesh.loops), np.int32)
        mesh.loops.foreach_get("vertex_index", corners)
        used = np.zeros(len(mesh.vertices), bool)
        # Loose points are not drawn, so they must not stretch the box.
        used[corners] = True
        return np.asarray(flat.reshape(-1, 3)[used], np.float64)
    finally:
        thing.to_mesh_clear()
