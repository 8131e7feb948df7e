"""Parts of the glTF specification missing in Blender's importer: visibility of nodes, and coordinates far away."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bpy

from render.blender.georeference import ORIGIN, bring_near, shift_points

VISIBILITY = "KHR_node_visibility"


@contextmanager
def import_only_shown_nodes() -> Iterator[None]:
    """Have a glTF import keep the meshes of a single scene: the default scene, or the first without a default.

    Meshes of other scenes, of nodes in no scene, and of nodes hidden by KHR_node_visibility are removed.
    """
    importer = importlib.import_module("io_scene_gltf2.blender.imp.scene").BlenderScene
    reader = importlib.import_module("io_scene_gltf2.io.imp.gltf2_io_gltf").glTFImporter
    create, checks = importer.create, reader.checks

    def accept_visibility(gltf: Any) -> None:
        # The importer refuses a file that requires an extension it does not list.
        gltf.extensions_managed.append(VISIBILITY)
        checks(gltf)

    def create_shown(gltf: Any) -> None:
        if gltf.data.scenes and gltf.data.scene is None:
            gltf.data.scene = 0
        # Before anything is created: from there on Blender holds coordinates in 32 bits.
        x, y, z = bring_near(gltf).tolist()
        bpy.context.scene[ORIGIN] = [x, -z, y]
        create(gltf)
        shift_points(gltf, bpy.data.meshes)
        _remove_unshown(gltf)
        _make_default_single_sided(gltf)

    importer.create, reader.checks = staticmethod(create_shown), accept_visibility
    try:
        yield
    finally:
        importer.create, reader.checks = staticmethod(create), checks


def _remove_unshown(gltf: Any) -> None:
    unseen = _hidden_nodes(gltf)
    for number, node in gltf.vnodes.items():
        thing = node.blender_object if node.type in (node.Object, node.Inst) else None
        if thing is None or thing.type != "MESH":
            continue
        is_elsewhere = bool(gltf.data.scenes) and gltf.data.scene not in node.scenes
        source = number if isinstance(number, int) else node.mesh_node_idx
        if is_elsewhere or source in unseen or node.parent in unseen:
            bpy.data.objects.remove(thing)


def _make_default_single_sided(gltf: Any) -> None:
    """The material of primitives without one is as single-sided as any other."""
    stated = {name for material in gltf.data.materials or [] for name in material.blender_material.values()}
    for material in bpy.data.materials:
        if material.name not in stated:
            material.use_backface_culling = True


def _hidden_nodes(gltf: Any) -> set[int]:
    """The nodes that KHR_node_visibility hides, with all below them."""
    nodes = gltf.data.nodes or []
    waiting = [
        number
        for number, node in enumerate(nodes)
        if (node.extensions or {}).get(VISIBILITY, {}).get("visible", True) is False
    ]
    hidden: set[int] = set()
    while waiting:
        number = waiting.pop()
        if number not in hidden:
            hidden.add(number)
            waiting += nodes[number].children or []
    return hidden
