"""Remove coincident faces or move them apart, because they would shade each other: backs of walls, doubled parts."""

from collections.abc import Iterator
from typing import NamedTuple

import bmesh
import bpy
import numpy as np
from mathutils import Matrix, Vector
from numpy.typing import NDArray

from render.blender.blend import SHAPES
from render.blender.culling import hides_what_is_behind
from render.blender.normalise import hand_over
from render.blender.overlap import Polygons, part_polygons

STEP = 2e-5
"""How far apart such faces are put, in a model whose longest edge is 1: a hundredth of a pixel."""
NORMALS = "normals_kept"
NO_POLYGONS = Polygons(
    np.zeros((0, 3)),
    np.zeros(0, np.int64),
    np.zeros((0, 3, 3)),
    np.zeros(0, np.int64),
    np.zeros(0, bool),
    np.zeros(0, bool),
)


class Piece(NamedTuple):
    """A mesh as it is drawn: its object, whether that is an instance of another, and where it is."""

    name: str
    is_instance: bool
    world_from_local: Matrix


def part_coincident(scene: bpy.types.Scene) -> int:
    """Keep a single visible face per plane and side. Returns the number of faces removed or moved.

    The model must fill the unit box already.
    """
    pieces, polygons, sizes = _gathered()
    if not pieces:
        return 0
    removed, level = part_polygons(polygons)
    touched = removed | (level > 0)
    if not touched.any():
        return 0
    ends = np.cumsum(sizes)
    affected = [number for number, end in enumerate(ends) if touched[end - sizes[number] : end].any()]
    # Instances share a mesh, so changing a piece means writing all of them as meshes of their own.
    if any(pieces[number].is_instance for number in affected):
        affected = list(range(len(pieces)))
    made = [_baked(pieces[number]) for number in affected]
    for number, mesh in zip(affected, made, strict=True):
        part_of = slice(ends[number] - sizes[number], ends[number])
        _edit(mesh, removed[part_of], level[part_of])
    _replace(scene, [pieces[number] for number in affected], made)
    return int(touched.sum())


def _instances() -> Iterator[bpy.types.DepsgraphObjectInstance]:
    bpy.context.view_layer.update()
    for instance in bpy.context.evaluated_depsgraph_get().object_instances:
        if instance.object.type in SHAPES and instance.show_self:
            yield instance


def _gathered() -> tuple[list[Piece], Polygons, list[int]]:
    """All pieces with faces, their polygons in world coordinates, and how many polygons each has."""
    pieces, parts, sizes = list[Piece](), list[Polygons](), list[int]()
    corners = polygons = 0
    for instance in _instances():
        thing = instance.object
        mesh = thing.to_mesh()
        if mesh is not None and len(mesh.polygons):
            found = _polygons(mesh, thing, np.array(instance.matrix_world, np.float64))
            parts.append(found._replace(start=found.start + corners, of_triangle=found.of_triangle + polygons))
            corners, polygons = corners + len(found.corners), polygons + len(found.start)
            pieces.append(Piece(thing.original.name, instance.is_instance, instance.matrix_world.copy()))
            sizes.append(len(found.start))
        thing.to_mesh_clear()
    return pieces, Polygons(*map(np.concatenate, zip(*parts, strict=True))) if parts else NO_POLYGONS, sizes


def _polygons(mesh: bpy.types.Mesh, thing: bpy.types.Object, world_from_local: NDArray[np.float64]) -> Polygons:
    mesh.calc_loop_triangles()
    points = _read(mesh.vertices, "co", 3, np.float32).astype(np.float64)
    points = points @ world_from_local[:3, :3].T + world_from_local[:3, 3]
    triangles = points[_read(mesh.loop_triangles, "vertices", 3, np.int32)]
    # A mirroring matrix turns the order of corners, and with it the front.
    if np.linalg.det(world_from_local[:3, :3]) < 0.0:
        triangles = triangles[:, ::-1]
    materials = [slot.material for slot in thing.material_slots] or [None]
    index = _read(mesh.polygons, "material_index", 1, np.int32)[:, 0].clip(0, len(materials) - 1)
    culled = [material is not None and material.use_backface_culling for material in materials]
    return Polygons(
        corners=points[_read(mesh.loops, "vertex_index", 1, np.int32)[:, 0]],
        start=_read(mesh.polygons, "loop_start", 1, np.int32)[:, 0].astype(np.int64),
        triangles=triangles,
        of_triangle=_read(mesh.loop_triangles, "polygon_index", 1, np.int32)[:, 0].astype(np.int64),
        hides=np.array([hides_what_is_behind(material) for material in materials])[index],
        is_culled=np.array(culled)[index],
    )


def _read(items: bpy.types.bpy_prop_collection, name: str, width: int, kind: type[np.generic]) -> NDArray[np.generic]:
    values = np.empty(len(items) * width, kind)
    items.foreach_get(name, values)
    return values.reshape(-1, width)


def _baked(piece: Piece) -> bpy.types.Mesh:
    """The piece's mesh as it is drawn, in world coordinates, with its normals noted at each corner."""
    depsgraph = bpy.context.evaluated_depsgraph_get()
    thing = bpy.data.objects[piece.name].evaluated_get(depsgraph)
    mesh = bpy.data.meshes.new_from_object(thing, preserve_all_data_layers=True, depsgraph=depsgraph)
    if mesh.has_custom_normals:
        matrix = np.array(piece.world_from_local, np.float64)[:3, :3]
        # The transpose of the inverse but for a positive factor, which also a flattened model has.
        cofactors = np.stack([np.cross(matrix[(row + 1) % 3], matrix[(row + 2) % 3]) for row in range(3)])
        normals = _read(mesh.corner_normals, "vector", 3, np.float32) @ cofactors.T
        # A mirror's determinant is negative, and with it its cofactors.
        normals *= -1.0 if np.linalg.det(matrix) < 0.0 else 1.0
        noted = mesh.attributes.new(NORMALS, "FLOAT_VECTOR", "CORNER")
        noted.data.foreach_set("vector", normals.astype(np.float32).ravel())
    mesh.transform(piece.world_from_local)
    if piece.world_from_local.determinant() < 0.0:
        mesh.flip_normals()
    return mesh


def _edit(mesh: bpy.types.Mesh, removed: NDArray[np.bool_], level: NDArray[np.int64]) -> None:
    """Remove polygons and move others along their normals, loosened from their neighbours."""
    work = bmesh.new()
    work.from_mesh(mesh)
    work.faces.ensure_lookup_table()
    moved = [(work.faces[number], level[number]) for number in np.flatnonzero((level > 0) & ~removed)]
    gone = [work.faces[number] for number in np.flatnonzero(removed)]
    for face, steps in moved:
        face.normal_update()
        for vertex in list(face.verts):
            # Else the neighbours at this corner would be pulled along.
            own = bmesh.utils.face_vert_separate(face, vertex) if len(vertex.link_faces) > 1 else vertex
            own.co += face.normal * (STEP * float(steps))
    bmesh.ops.delete(work, geom=gone, context="FACES")
    work.to_mesh(mesh)
    work.free()
    if noted := mesh.attributes.get(NORMALS):
        normals = _read(noted.data, "vector", 3, np.float32)
        mesh.attributes.remove(noted)
        # bmesh drops given normals, hence the attribute they travelled in.
        mesh.normals_split_custom_set([Vector(normal).normalized() for normal in normals.tolist()])


def _replace(scene: bpy.types.Scene, pieces: list[Piece], meshes: list[bpy.types.Mesh]) -> None:
    """Put plain objects in the place of the pieces' own."""
    for name in dict.fromkeys(piece.name for piece in pieces):
        thing = bpy.data.objects[name]
        # Removing a parent would move its children.
        if thing.children:
            hand_over(scene, thing)
        bpy.data.objects.remove(thing)
    if any(piece.is_instance for piece in pieces):
        for thing in scene.objects:
            # Otherwise the instances would be drawn once more, beside their own meshes.
            thing.instance_type = "NONE"
    for piece, mesh in zip(pieces, meshes, strict=True):
        scene.collection.objects.link(bpy.data.objects.new(piece.name, mesh))
