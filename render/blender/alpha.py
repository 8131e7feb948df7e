"""The upper limit of a material's opacity, from its nodes."""

from collections.abc import Callable
from typing import NamedTuple

import bpy
import numpy as np
from numpy.typing import NDArray

Range = tuple[float, float]
"""The least and the most that a value can be."""
ANY: Range = (0.0, 1.0)

OPERATIONS: dict[str, Callable[[Range, Range], Range]] = {
    "MULTIPLY": lambda a, b: (a[0] * b[0], a[1] * b[1]) if min(a[0], b[0]) >= 0.0 else ANY,
    "ADD": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "SUBTRACT": lambda a, b: (a[0] - b[1], a[1] - b[0]),
    "LESS_THAN": lambda a, b: (float(a[1] < b[0]), float(a[0] < b[1])),
    "GREATER_THAN": lambda a, b: (float(a[0] > b[1]), float(a[1] > b[0])),
    "ROUND": lambda a, _: (float(np.floor(a[0] + 0.5)), float(np.floor(a[1] + 0.5))),
}
"""What math nodes make of two ranges; of others nothing is known."""


class Faces(NamedTuple):
    """Some faces (F,) of a mesh."""

    mesh: bpy.types.Mesh
    chosen: NDArray[np.bool_]


def largest_alpha(material: bpy.types.Material | None, faces: Faces) -> float:
    """Return the highest possible opacity of the faces with this material, 0 to 1; 1 for unknown nodes."""
    if material is None or not material.use_nodes:
        return 1.0
    tree = material.node_tree
    # A material may have an output for each engine; Cycles takes its own first.
    end = tree.get_output_node("CYCLES") or tree.get_output_node("ALL")
    if end is None or not end.inputs["Surface"].links:
        return 1.0
    shader = end.inputs["Surface"].links[0].from_node
    if shader.type == "BSDF_PRINCIPLED":
        return _of_socket(shader.inputs["Alpha"], faces)[1]
    if shader.type == "MIX_SHADER" and _is_transparent(shader.inputs[1]):
        return _of_socket(shader.inputs["Fac"], faces)[1]
    return 1.0


def _is_transparent(socket: bpy.types.NodeSocket) -> bool:
    return bool(socket.links) and socket.links[0].from_node.type == "BSDF_TRANSPARENT"


def _of_socket(socket: bpy.types.NodeSocket, faces: Faces) -> Range:
    if not socket.links:
        value = float(socket.default_value)
        return value, value
    node, output = socket.links[0].from_node, socket.links[0].from_socket
    if node.type == "TEX_IMAGE" and output.name == "Alpha" and node.image:
        return _of_image(node.image)
    if node.type == "VERTEX_COLOR" and output.name == "Alpha":
        return _of_colours(faces, node.layer_name)
    # Interval arithmetic: the range of a sum or product follows from the ranges of its parts.
    if node.type == "MATH" and node.operation in OPERATIONS and not node.use_clamp:
        return OPERATIONS[node.operation](_of_socket(node.inputs[0], faces), _of_socket(node.inputs[1], faces))
    return ANY


def _of_image(image: bpy.types.Image) -> Range:
    # A picture not loaded has no size; the check of missing pictures speaks of it elsewhere.
    if image.channels < 4 or not image.size[0]:
        return 1.0, 1.0
    pixels = np.empty(image.size[0] * image.size[1] * image.channels, np.float32)
    image.pixels.foreach_get(pixels)
    alpha = pixels[3 :: image.channels]
    return float(alpha.min()), float(alpha.max())


def _of_colours(faces: Faces, name: str) -> Range:
    layers = faces.mesh.color_attributes
    # A node without a name means the layer chosen for renders, with index −1 if none was chosen.
    layer = layers.get(name) if name else layers[max(layers.render_color_index, 0)] if layers else None
    if layer is None or not len(layer.data):
        return ANY
    values = np.empty(len(layer.data) * 4, np.float32)
    layer.data.foreach_get("color", values)
    sizes, corners = np.empty(len(faces.mesh.polygons), np.int32), np.empty(len(faces.mesh.loops), np.int32)
    faces.mesh.polygons.foreach_get("loop_total", sizes)
    faces.mesh.loops.foreach_get("vertex_index", corners)
    # Corners are stored face by face, so a flag of faces repeats for each corner.
    own = np.flatnonzero(np.repeat(faces.chosen, sizes))
    alpha = values[3::4][own if layer.domain == "CORNER" else corners[own]]
    return float(alpha.min(initial=1.0)), float(alpha.max(initial=0.0))
