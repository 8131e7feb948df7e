"""Alpha of textures: colours are kept where alpha is 0, and masks of OBJ materials (`map_d`) count."""

import bpy
import numpy as np


def keep_hidden_colours() -> None:
    """Take the alpha of textures as straight, so that colours count where a material does not use alpha."""
    for image in bpy.data.images:
        if image.source in {"FILE", "TILED"}:
            image.alpha_mode = "CHANNEL_PACKED"


def use_grey_masks() -> None:
    """Make each mask without an alpha channel of its own count by its brightness, as MTL says of `map_d`.

    Blender's importer links the alpha of such a picture, which is 1 everywhere.
    """
    for material in bpy.data.materials:
        tree = material.node_tree
        for link in list(tree.links) if tree else []:
            node, socket = link.from_node, link.to_socket
            if (socket.name, link.from_socket.name, node.type) != ("Alpha", "Alpha", "TEX_IMAGE"):
                continue
            if node.image is not None and not has_alpha(node.image):
                node.image = node.image.copy()  # the same picture may give colours elsewhere
                # A mask is a number: decoding it as sRGB would make half a mask a fifth.
                node.image.colorspace_settings.name = "Non-Color"
                tree.links.new(node.outputs["Color"], socket)


def has_alpha(image: bpy.types.Image) -> bool:
    """True for a picture that is transparent anywhere."""
    if image.channels != 4:
        return False
    values = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(values)
    return bool((values[3::4] < 1.0).any())
