"""The described lights, made in Blender."""

from typing import Any

import bpy
from mathutils import Vector


def add_lights(scene: bpy.types.Scene, lights: list[dict[str, Any]]) -> None:
    """Add lamps and world as `render.lights` describes them; nothing else lights the scene."""
    for light in lights:
        if light["kind"] == "world":
            _set_world(scene, light["strength"])
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
    lamp.rotation_euler = towards_lamp.to_track_quat("Z", "Y").to_euler()


def _set_world(scene: bpy.types.Scene, strength: float) -> None:
    world = bpy.data.worlds.new("world")
    world.use_nodes = True
    background = world.node_tree.nodes["Background"]
    background.inputs["Color"].default_value = (1.0, 1.0, 1.0, 1.0)
    background.inputs["Strength"].default_value = strength
    scene.world = world
