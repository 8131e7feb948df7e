"""Give every face a material: a neutral one for bare faces, and vertex colours where a mesh has them."""

from functools import cache
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from geometry.colour import linear_from_srgb, srgb_from_linear

WHITE = (1.0, 1.0, 1.0, 1.0)
BYTE_RANGE = 255.0
LARGEST_SHARE = 2.0
"""Colours, as shares of white in sRGB, are not above this; larger ones count from 0 to 255."""

MATERIAL_HOLDERS = {"MESH", "CURVE", "SURFACE", "FONT", "META"}


def assign_materials(neutral: dict[str, float], *, over_materials: bool, single_sided: bool) -> None:
    """Give bare faces their vertex colours, or the neutral material, possibly single-sided.

    With `over_materials`, vertex colours also tint materials without a picture.
    """
    bare = _material("neutral", neutral)
    bare.use_backface_culling = single_sided
    # A material for each pair, instead of each slot.
    tinted = cache(_tinted)
    for thing in bpy.data.objects:
        if thing.type not in MATERIAL_HOLDERS:
            continue
        colours = colour_name(thing.data) if thing.type == "MESH" else ""
        # A slot to hold the material: an object without any would be drawn in Blender's default.
        if not thing.material_slots:
            thing.data.materials.append(None)
        for slot in thing.material_slots:
            if slot.material is None:
                slot.material = tinted(bare, colours, WHITE) if colours else bare
            elif colours and over_materials and not _shows_more_than_a_colour(slot.material):
                slot.material = tinted(slot.material, colours)


def scale_byte_colours() -> None:
    """Bring vertex colours of 0 to 255, as some programs write them where shares of white are meant, to 0 to 1."""
    layers = [layer for mesh in bpy.data.meshes for layer in mesh.color_attributes if layer.data_type == "FLOAT_COLOR"]
    found = [_colours(layer) for layer in layers]
    largest = max((float(colours[:, :3].max(initial=0.0)) for colours in found), default=0.0)
    if not linear_from_srgb(LARGEST_SHARE) < largest < np.inf:
        return
    for layer, colours in zip(layers, found, strict=True):
        # The importer took them for shares of white in sRGB and made linear light of them. Undone, also above 1, where
        # `srgb_from_linear` clips.
        bright = colours[:, :3] > 1.0
        stored = np.where(
            bright, 1.055 * np.maximum(colours[:, :3], 1.0) ** (1 / 2.4) - 0.055, srgb_from_linear(colours[:, :3])
        )
        colours[:, :3] = linear_from_srgb(stored / BYTE_RANGE)
        layer.data.foreach_set("color", colours.ravel())


def colour_name(mesh: bpy.types.Mesh) -> str:
    """The name of the colours that a mesh shows; empty without any, or when all of them are black."""
    attributes = mesh.color_attributes
    if not attributes:
        return ""
    chosen = attributes[max(attributes.render_color_index, 0)]
    return str(chosen.name) if _colours(chosen)[:, :3].any() else ""


def _colours(layer: bpy.types.Attribute) -> NDArray[np.float32]:
    """The colours (N, 4) of a layer, linear."""
    values = np.zeros(len(layer.data) * 4, np.float32)
    layer.data.foreach_get("color", values)
    return values.reshape(-1, 4)


def _shows_more_than_a_colour(material: bpy.types.Material) -> bool:
    nodes = material.node_tree.nodes if material.use_nodes else []
    return any(node.type in {"TEX_IMAGE", "VERTEX_COLOR", "ATTRIBUTE"} for node in nodes)


def _material(name: str, neutral: dict[str, float]) -> bpy.types.Material:
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    shader = _shader(material)
    grey = neutral["grey"]
    shader.inputs["Base Color"].default_value = (grey, grey, grey, 1.0)
    shader.inputs["Roughness"].default_value = neutral["roughness"]
    return material


def _tinted(
    material: bpy.types.Material, colours: str, base: tuple[float, float, float, float] | None = None
) -> bpy.types.Material:
    """Copy `material` and multiply its base colour, or `base`, by the vertex colours of that name."""
    tinted = material.copy()
    tinted.name = f"{material.name} × {colours}"[:60]
    tinted.use_nodes = True
    shader = _shader(tinted)
    if shader is None:
        return material
    tree = tinted.node_tree
    attribute, product = tree.nodes.new("ShaderNodeVertexColor"), tree.nodes.new("ShaderNodeMix")
    attribute.layer_name = colours
    product.data_type, product.blend_type = "RGBA", "MULTIPLY"
    product.inputs["Factor"].default_value = 1.0
    # By number: the node has inputs of the same name for each type.
    product.inputs[6].default_value = base or shader.inputs["Base Color"].default_value
    tree.links.new(attribute.outputs["Color"], product.inputs[7])
    tree.links.new(product.outputs[2], shader.inputs["Base Color"])
    return tinted


def _shader(material: bpy.types.Material) -> Any:
    return next((node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED"), None)
