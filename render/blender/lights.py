"""Make the lights of a job in Blender."""

from pathlib import Path
from typing import Any

import bpy
from mathutils import Vector

from render.blender.refusal import Refusal
from render.job import Outcome


def add_lights(scene: bpy.types.Scene, lights: list[dict[str, Any]], maps: str | None) -> None:
    """Add lamps and world as `render.lights` describes them; nothing else lights the scene. `maps` is their folder.

    Raises Refusal for a map that Blender cannot read.
    """
    for light in lights:
        if light["kind"] == "world":
            _set_world(scene, light, maps)
        else:
            _add_lamp(scene, light)


def _add_lamp(scene: bpy.types.Scene, light: dict[str, Any]) -> None:
    data = bpy.data.lights.new("lamp", light["kind"].upper())
    data.energy = light["strength"]
    if light["kind"] == "area":
        data.shape = "SQUARE"
        data.size = light["size"]
    elif light["kind"] == "point":
        data.shadow_soft_size = light["size"]
    else:
        data.angle = light["size"]
    lamp = bpy.data.objects.new("lamp", data)
    scene.collection.objects.link(lamp)
    towards_lamp = Vector(light["position"]) - Vector(light["target"])
    lamp.location = light["position"]
    # Blender's lamps shine along their −z, so +z points back to the lamp.
    lamp.rotation_euler = towards_lamp.to_track_quat("Z", "Y").to_euler()


def _set_world(scene: bpy.types.Scene, light: dict[str, Any], maps: str | None) -> None:
    world = bpy.data.worlds.new("world")
    world.use_nodes = True
    background = world.node_tree.nodes["Background"]
    background.inputs["Color"].default_value = (1.0, 1.0, 1.0, 1.0)
    background.inputs["Strength"].default_value = light["strength"]
    if light["map"] and maps is not None:
        picture = _picture(world.node_tree, Path(maps).expanduser() / light["map"], light["rotation_rad"])
        world.node_tree.links.new(picture.outputs["Color"], background.inputs["Color"])
    scene.world = world


def _picture(tree: bpy.types.NodeTree, path: Path, rotation_rad: float) -> bpy.types.Node:
    """The map as a node: its middle column is seen towards +x, and with a turn that much further round +z."""
    picture = tree.nodes.new("ShaderNodeTexEnvironment")
    picture.image = bpy.data.images.load(str(path))
    # Set, because Blender guesses it from the format of the file.
    picture.image.colorspace_settings.name = "Linear Rec.709"
    if not all(picture.image.size):
        raise Refusal(Outcome.RENDER_ERROR, f"expected an environment map, got {path.name}, which cannot be read")
    directions = tree.nodes.new("ShaderNodeTexCoord")
    turned = tree.nodes.new("ShaderNodeMapping")
    turned.inputs["Rotation"].default_value = (0.0, 0.0, -rotation_rad)
    tree.links.new(directions.outputs["Generated"], turned.inputs["Vector"])
    tree.links.new(turned.outputs["Vector"], picture.inputs["Vector"])
    return picture
