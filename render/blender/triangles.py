"""The triangles of a model as they are drawn now."""

from collections.abc import Iterator
from typing import NamedTuple

import bpy
import numpy as np
from numpy.typing import NDArray

from render.blender.surfaces import mesh_triangles

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]

SURFACES = {"MESH", "CURVE", "SURFACE", "FONT", "META"}


class Drawn(NamedTuple):
    """The evaluated object of a piece, and its triangles: corners (T, 3, 3) in the world, polygons, material slots."""

    thing: bpy.types.Object
    corners: Floats
    polygons: Ints
    slots: Ints

    def of_slots(self, flags: list[bool]) -> Flags:
        """The flag of each triangle (T,) out of those of the material slots; false without slots."""
        return np.asarray(np.array(flags or [False])[self.slots.clip(0, max(len(flags) - 1, 0))])


def are_flat(corners: Floats) -> Flags:
    """Whether triangles (T, 3, 3) are no more than lines."""
    edges = corners - np.roll(corners, 1, axis=1)
    longest = np.linalg.norm(edges, axis=2).max(axis=1)
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    # The coordinates of a far point are less certain than those of a near point.
    size = np.abs(corners).max(axis=(1, 2))
    return np.asarray(area <= 1e-9 * longest * np.maximum(longest, size))


def drawn_triangles() -> Iterator[tuple[str, Floats]]:
    """The name of the object of each piece, and world coordinates (T, 3, 3) of its triangles, as drawn."""
    for drawn in drawn_meshes():
        yield drawn.thing.name, drawn.corners


def drawn_meshes() -> Iterator[Drawn]:
    """Each piece with faces; use one before you take the next.

    The corners go round the front in the order in which it is seen, also where a matrix mirrors.
    """
    bpy.context.view_layer.update()
    for instance in bpy.context.evaluated_depsgraph_get().object_instances:
        thing = instance.object
        if thing.type not in SURFACES or not instance.show_self:
            continue
        mesh = thing.to_mesh()
        if mesh is not None and mesh.polygons:
            points, corners, polygons = mesh_triangles(mesh)
            slots = np.empty(len(mesh.polygons), np.int32)
            mesh.polygons.foreach_get("material_index", slots)
            matrix = np.array(instance.matrix_world, np.float64)
            # A mirroring matrix turns the order of corners, and with it the front.
            if np.linalg.det(matrix[:3, :3]) < 0.0:
                corners = corners[:, ::-1]
            points = points @ matrix[:3, :3].T + matrix[:3, 3]
            yield Drawn(thing, points[corners], polygons, slots.astype(np.int64)[polygons])
        # Blender keeps a single temporary mesh per object.
        thing.to_mesh_clear()


def total_area(corners: Floats) -> float:
    """The area of triangles (T, 3, 3), all together."""
    edges = corners[:, 1:] - corners[:, :1]
    return float(np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1).sum()) / 2.0
