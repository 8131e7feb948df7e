"""Faces visible only from the front, like those of glTF's single-sided materials."""

from enum import Enum

import bpy
import numpy as np
from numpy.typing import NDArray

from render.blender.surfaces import mesh_triangles, parts_of
from render.blender.triangles import drawn_meshes

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]

SIDES_LOOKED_AT, MOST_LOOKED_AT = 128, 50_000
"""Directions, and faces, by which is decided whether an object vanishes from a side."""
LEAST_SEEN = 0.02
"""An object that shows this share of what its best side shows is as good as gone."""


class Side(Enum):
    """The hidden sides of a face: none, its back, or its back and, for all rays but the camera's, its front too."""

    BOTH_SHOWN = 0
    BACK_HIDDEN = 1
    ENCLOSING = 2


def cull_backs() -> set[str]:
    """Make the backs of single-sided materials transparent; returns the names of the materials that have it so.

    Light passes through a back as the eye does. It also passes through parts that face inward, on its way in and out:
    what a room, a sky or the outline of a drawn figure encloses would be dark otherwise, as in no viewer. Opaque closed
    surfaces stay as they are, since their backs are seen from nowhere and a plain material renders faster.
    """
    variants: dict[tuple[str, Side], bpy.types.Material] = {}
    done = set[str]()
    for thing in [thing for thing in bpy.data.objects if thing.type == "MESH" and thing.data.polygons]:
        faces = _culled_faces(thing)
        # Objects may share a mesh, and its faces need the change once.
        if faces.any() and thing.data.name not in done:
            done.add(thing.data.name)
            _hide(thing, faces, variants)
    return {material.name for material in variants.values()}


def material_indices(thing: bpy.types.Object) -> NDArray[np.int32]:
    """The number of each face's material slot (F,)."""
    index = np.zeros(len(thing.data.polygons), np.int32)
    thing.data.polygons.foreach_get("material_index", index)
    return np.asarray(index.clip(0, max(len(thing.material_slots) - 1, 0)))


def hides_what_is_behind(material: bpy.types.Material | None) -> bool:
    """Whether a material is opaque, or glass, for which both sides of a closed surface bend the light."""
    if material is None or not material.use_nodes:
        return True
    nodes = material.node_tree.nodes
    alphas = [node.inputs["Alpha"] for node in nodes if node.type == "BSDF_PRINCIPLED"]
    is_opaque = all(not alpha.is_linked and alpha.default_value >= 1.0 for alpha in alphas)
    return is_opaque and not any(node.type == "BSDF_TRANSPARENT" for node in nodes)


def _culled_faces(thing: bpy.types.Object) -> Flags:
    """Test which faces (F,) have a single-sided material."""
    return np.array(_culled_slots(thing) or [False])[material_indices(thing)]


def _culled_slots(thing: bpy.types.Object) -> list[bool]:
    return [slot.material is not None and slot.material.use_backface_culling for slot in thing.material_slots]


def _hide(thing: bpy.types.Object, faces: Flags, variants: dict[tuple[str, Side], bpy.types.Material]) -> None:
    """Give `faces` (F,) of a mesh copies of their materials that hide what is not seen."""
    index, sides = material_indices(thing), _sides(thing)
    for side in (Side.BACK_HIDDEN, Side.ENCLOSING):
        for slot in np.unique(index[faces & (sides == side.value)]):
            material = thing.material_slots[slot].material
            # A copy for each mesh would compile a shader each.
            if (material.name, side) not in variants:
                variants[material.name, side] = _variant(material, side)
            thing.data.materials.append(variants[material.name, side])
            index[faces & (sides == side.value) & (index == slot)] = len(thing.data.materials) - 1
    thing.data.polygons.foreach_set("material_index", index)
    thing.data.update()


def _sides(thing: bpy.types.Object) -> NDArray[np.int32]:
    """The value of the Side of each face (F,) of a mesh, if its material were single-sided."""
    points, triangles, polygons = mesh_triangles(thing.data)
    parts = parts_of(points, triangles)
    opaque = np.array([hides_what_is_behind(slot.material) for slot in thing.material_slots])
    is_opaque_part = np.ones(len(parts.is_closed), bool)
    is_opaque_part[parts.of_triangle[~opaque[material_indices(thing)[polygons]]]] = False
    side = np.where(parts.is_closed & is_opaque_part, Side.BOTH_SHOWN.value, Side.BACK_HIDDEN.value)
    side = np.where(parts.is_inward, Side.ENCLOSING.value, side)
    of_face = np.full(len(thing.data.polygons), Side.BACK_HIDDEN.value, np.int32)
    of_face[polygons] = side[parts.of_triangle]
    return of_face


def _variant(material: bpy.types.Material, side: Side) -> bpy.types.Material:
    """A copy of a material with a transparent surface in place of what `side` hides."""
    made = material.copy()
    tree = made.node_tree
    end = tree.get_output_node("CYCLES") or tree.get_output_node("ALL")
    if end is None or not end.inputs["Surface"].links:
        return made
    shown = end.inputs["Surface"].links[0].from_socket
    geometry, nothing = tree.nodes.new("ShaderNodeNewGeometry"), tree.nodes.new("ShaderNodeBsdfTransparent")
    mix = tree.nodes.new("ShaderNodeMixShader")
    hidden = geometry.outputs["Backfacing"]
    if side is Side.ENCLOSING:
        path, seen, inverse = (tree.nodes.new(f"ShaderNode{kind}") for kind in ("LightPath", "Math", "Math"))
        seen.operation, inverse.operation = "MAXIMUM", "SUBTRACT"
        inverse.inputs[0].default_value = 1.0
        tree.links.new(path.outputs["Is Camera Ray"], inverse.inputs[1])
        tree.links.new(hidden, seen.inputs[0])
        tree.links.new(inverse.outputs[0], seen.inputs[1])
        hidden = seen.outputs[0]
    tree.links.new(hidden, mix.inputs["Fac"])
    tree.links.new(shown, mix.inputs[1])
    tree.links.new(nothing.outputs[0], mix.inputs[2])
    tree.links.new(mix.outputs[0], end.inputs["Surface"])
    return made


def vanishes_from_a_side() -> bool:
    """Whether from some direction next to nothing but backs of single-sided materials is seen, as of a sheet."""
    normals, doubles = list[Floats](), list[Flags]()
    for drawn in drawn_meshes():
        edges = drawn.corners[:, 1:] - drawn.corners[:, :1]
        normals.append(np.cross(edges[:, 0], edges[:, 1]))
        doubles.append(~drawn.of_slots(_culled_slots(drawn.thing)))
    if not normals or np.concatenate(doubles).all():
        return False
    # Every nth face stands for its neighbours; only shares of areas are compared.
    step = max(1, sum(map(len, normals)) // MOST_LOOKED_AT)
    normal, double = np.concatenate(normals)[::step], np.concatenate(doubles)[::step]
    towards = normal @ directions(SIDES_LOOKED_AT).T
    seen = np.where(double[:, None], np.abs(towards), np.maximum(towards, 0.0)).sum(axis=0)
    return bool(seen.min() <= LEAST_SEEN * seen.max())


def directions(count: int) -> Floats:
    """Directions (N, 3) that are spread evenly over the sphere, on a spiral."""
    step = np.arange(count) + 0.5
    # Equal steps of height are equal areas of a sphere; the golden angle keeps turns from lining up.
    height, turn = 1.0 - 2.0 * step / count, step * np.pi * (3.0 - np.sqrt(5.0))
    radius = np.sqrt(1.0 - height**2)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), height], axis=1)
