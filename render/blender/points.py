"""Coloured points without faces, from scanners: each becomes a small ball in contact with its neighbours."""

import bpy
import numpy as np
from numpy.typing import NDArray

from render.blender.materials import colour_name

PROBES = 128
"""The number of points sampled to estimate the distance to neighbours."""

NEIGHBOUR, REACH = 4, 0.75
"""A ball's radius in distances to the fourth nearest point: on a square grid just enough to leave no holes."""

FEWEST_PER_EDGE = 1000.0
"""No ball is smaller than the cloud's longest edge divided by this."""


def show_points_as_balls(*, named_colours: bool) -> None:
    """Give every coloured mesh without faces and edges a modifier that shows its points as balls.

    Nothing happens when the model has any face: loose points are then leavings. With `named_colours`, materials that
    show the colours of a mesh without naming them get the name, since balls have no default colours.
    """
    meshes = [thing for thing in bpy.data.objects if thing.type == "MESH"]
    if any(thing.data.polygons for thing in meshes):
        return
    for thing in meshes:
        points = _points(thing.data)
        if len(points) and not thing.data.edges and colour_name(thing.data):
            if named_colours:
                _name_colours(thing)
            _show(thing, ball_radius(points))


def ball_radius(points: NDArray[np.float32]) -> float:
    """REACH of the usual distance from a point of (N, 3) to its fourth nearest neighbour."""
    step = max(1, len(points) // PROBES)
    near = min(NEIGHBOUR, len(points) - 1)
    # From a sample: all pairs of a scan would be billions.
    distances = [np.partition(((points - probe) ** 2).sum(axis=1), near)[near] for probe in points[::step]]
    extent = float((points.max(axis=0) - points.min(axis=0)).max())
    return max(float(np.sqrt(np.median(distances))) * REACH, extent / FEWEST_PER_EDGE)


def _points(mesh: bpy.types.Mesh) -> NDArray[np.float32]:
    flat = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", flat)
    points = flat.reshape(-1, 3)
    # Scanners write NaN for pixels without a measurement.
    return np.asarray(points[np.isfinite(points).all(axis=1)])


def _name_colours(thing: bpy.types.Object) -> None:
    for slot in thing.material_slots:
        nodes = slot.material.node_tree.nodes if slot.material and slot.material.use_nodes else []
        for node in nodes:
            if node.type == "VERTEX_COLOR" and not node.layer_name:
                node.layer_name = colour_name(thing.data)


def _show(thing: bpy.types.Object, radius: float) -> None:
    tree = bpy.data.node_groups.new("balls", "GeometryNodeTree")
    tree.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    start, end = tree.nodes.new("NodeGroupInput"), tree.nodes.new("NodeGroupOutput")
    balls, paint = tree.nodes.new("GeometryNodeMeshToPoints"), tree.nodes.new("GeometryNodeSetMaterial")
    balls.inputs["Radius"].default_value = radius
    # Points made by a node have no material of their own.
    paint.inputs["Material"].default_value = thing.material_slots[0].material
    tree.links.new(start.outputs[0], balls.inputs["Mesh"])
    tree.links.new(balls.outputs[0], paint.inputs["Geometry"])
    tree.links.new(paint.outputs[0], end.inputs[0])
    thing.modifiers.new("balls", "NODES").node_group = tree
