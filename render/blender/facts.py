"""Facts about the imported model besides its pictures."""

import bpy

from render.blender.pose import is_animated
from render.job import ObjectFacts


def object_facts(scene: bpy.types.Scene) -> ObjectFacts:
    """Count meshes and faces, and find out whether the model is untextured or animated."""
    meshes = [thing for thing in scene.objects if _is_drawn(thing) and thing.data.polygons]
    return ObjectFacts(
        meshes=len(meshes),
        faces=sum(len(thing.data.polygons) for thing in meshes),
        untextured=not any(_has_colours(thing) for thing in meshes),
        animated=is_animated(),
        frame=float(scene.frame_current_final),
    )


def _is_drawn(thing: bpy.types.Object) -> bool:
    return thing.type == "MESH" and not thing.hide_render


def _has_colours(thing: bpy.types.Object) -> bool:
    if thing.data.color_attributes:
        return True
    materials = [slot.material for slot in thing.material_slots if slot.material and slot.material.use_nodes]
    nodes = [node for material in materials for node in material.node_tree.nodes]
    return any(node.type == "TEX_IMAGE" and node.image and node.image.size[0] for node in nodes)
