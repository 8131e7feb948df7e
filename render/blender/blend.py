"""Objects of a Blender file as plain meshes: no script, driver, modifier, link or setting of the file survives."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

from render.blender.refusal import Refusal
from render.job import Outcome

SHAPES = {"MESH", "CURVE", "SURFACE", "FONT", "META"}
MODIFIERS = {
    "ARMATURE", "ARRAY", "BEVEL", "BOOLEAN", "BUILD", "CAST", "CORRECTIVE_SMOOTH", "CURVE", "DECIMATE", "DISPLACE",
    "EDGE_SPLIT", "HOOK", "LAPLACIANDEFORM", "LAPLACIANSMOOTH", "LATTICE", "MASK", "MESH_DEFORM", "MIRROR", "MULTIRES",
    "NODES", "NORMAL_EDIT", "REMESH", "SCREW", "SHRINKWRAP", "SIMPLE_DEFORM", "SKIN", "SMOOTH", "SOLIDIFY", "SUBSURF",
    "SURFACE_DEFORM", "TRIANGULATE", "UV_PROJECT", "UV_WARP", "VERTEX_WEIGHT_EDIT", "VERTEX_WEIGHT_MIX",
    "VERTEX_WEIGHT_PROXIMITY", "WARP", "WAVE", "WEIGHTED_NORMAL", "WELD", "WIREFRAME",
}  # fmt: skip
"""Modifiers that make a shape of what the file holds; others simulate, or read caches from disk."""

READING_NODES = ("GeometryNodeImport", "GeometryNodeBake", "ShaderNodeScript", "ShaderNodeTexIES")
MAX_LEVELS = 3
MAX_PIECES = 100_000


def append_objects(path: Path) -> None:
    """Put what a render of the file's first scene, by name, would show into the current scene. Runs nothing of it."""
    with bpy.data.libraries.load(str(path), link=False) as (held, wanted):
        wanted.scenes = sorted(held.scenes)[:1]
        wanted.objects = [] if held.scenes else held.objects
    scenes = [scene for scene in wanted.scenes if scene]
    shown = [thing for scene in scenes for thing in _shown(scene.view_layers[0].layer_collection)]
    # Before anything is linked to a scene, since only then would drivers and modifiers be evaluated.
    _disarm()
    for thing in dict.fromkeys(shown or [thing for thing in wanted.objects if thing]):
        bpy.context.scene.collection.objects.link(thing)
        thing.hide_viewport = False
    for scene in scenes:
        bpy.data.scenes.remove(scene)


def flatten(scene: bpy.types.Scene) -> None:
    """Replace all objects by plain meshes as they are now, each instance at its place."""
    depsgraph = bpy.context.evaluated_depsgraph_get()
    meshes: dict[tuple[int, int], bpy.types.Mesh] = {}
    pieces = []
    for instance in depsgraph.object_instances:
        thing = instance.object
        if thing.type not in SHAPES or not instance.show_self:
            continue
        # Copies made by instancing share their data, so each mesh is built once.
        key = thing.original.as_pointer(), thing.data.as_pointer()
        if key not in meshes:
            meshes[key] = bpy.data.meshes.new_from_object(thing, preserve_all_data_layers=True, depsgraph=depsgraph)
        pieces.append((thing.name, meshes[key], instance.matrix_world.copy()))
        if len(pieces) > MAX_PIECES:
            raise Refusal(Outcome.TOO_LARGE, f"expected at most {MAX_PIECES} objects with their copies, got more")
    # In a batch: removal one by one updates all relations each time.
    bpy.data.batch_remove(list(bpy.data.objects))
    for name, mesh, world_from_local in pieces:
        plain = bpy.data.objects.new(name, mesh)
        plain.matrix_world = world_from_local
        scene.collection.objects.link(plain)


def _shown(layer: bpy.types.LayerCollection) -> Iterator[bpy.types.Object]:
    """What a render of the collection and those below shows."""
    if layer.exclude or layer.collection.hide_render:
        return
    yield from (thing for thing in layer.collection.objects if not thing.hide_render)
    for child in layer.children:
        yield from _shown(child)


def _disarm() -> None:
    """Take out all that could run, read a file or differ from render to render."""
    for kind in (bpy.data.texts, bpy.data.sounds, bpy.data.movieclips, bpy.data.cache_files, bpy.data.volumes):
        bpy.data.batch_remove(list(kind))
    for font in [font for font in bpy.data.fonts if font.filepath != "<builtin>" and not font.packed_file]:
        bpy.data.fonts.remove(font)
    for tree in _trees():
        for node in [node for node in tree.nodes if node.bl_idname.startswith(READING_NODES)]:
            tree.nodes.remove(node)
    _disarm_objects()


def _disarm_objects() -> None:
    for owner in _animated():
        for driver in list(owner.animation_data.drivers):
            owner.animation_data.drivers.remove(driver)
    for thing in bpy.data.objects:
        for modifier in list(thing.modifiers):
            if modifier.type not in MODIFIERS:
                thing.modifiers.remove(modifier)
            elif modifier.type == "SUBSURF":
                # Each level has four times the faces, and a file may ask for any number.
                modifier.levels = min(modifier.render_levels, MAX_LEVELS)


def _trees() -> Iterator[Any]:
    yield from bpy.data.node_groups
    yield from (material.node_tree for material in bpy.data.materials if material.node_tree)


def _animated() -> Iterator[bpy.types.ID]:
    kinds = (bpy.data.objects, bpy.data.shape_keys, bpy.data.armatures, bpy.data.meshes, bpy.data.curves)
    for kind in (*kinds, bpy.data.materials, bpy.data.scenes, bpy.data.lattices, bpy.data.metaballs):
        yield from (thing for thing in kind if thing.animation_data)
    yield from (tree for tree in _trees() if tree.animation_data)
