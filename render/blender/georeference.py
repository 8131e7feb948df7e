"""glTF models far from their origin: brought near before Blender, which keeps places in 32 bits, takes them over."""

from typing import Any

import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FAR = 32.0
"""A model is far when its middle is so many times its longest edge from the origin."""
FLOAT = 5126
"""Of other component types the stated limits are not coordinates."""
MAX_CONDITION = 1e8
"""Above this a parent's matrix cannot be undone."""
ORIGIN = "zero123_origin"
"""The property under which a scene remembers where the origin of the file was, in Blender's axes."""


def bring_near(gltf: Any) -> Floats:
    """Move an importer's nodes, and the points of meshes far from their node, near to the origin.

    Returns the offset (3,) in glTF's axes: x moves to x − offset. It is zero for a model near the origin, and for a
    model with animated node positions.
    """
    nodes = gltf.data.nodes or []
    world = _world_matrices(nodes)
    # From the stated limits of accessors: reading all points would be slow.
    boxes = [_box(gltf, node) for node in nodes]
    places = [corner for number in world for corner in _corners(world[number], boxes[number])]
    if not places or not np.isfinite(places).all():
        return np.zeros(3)
    low, high = np.min(places, axis=0), np.max(places, axis=0)
    middle = (low + high) / 2.0
    if np.abs(middle).max() <= FAR * float((high - low).max()):
        return np.zeros(3)
    shifts = _mesh_shifts(nodes, boxes)
    moved = _translations(nodes, world, shifts, middle)
    animated = {
        channel.target.node
        for animation in gltf.data.animations or []
        for channel in animation.channels
        if channel.target.path == "translation"
    }
    # An animation sets a node's translation itself and would undo the shift.
    if moved is None or any(not np.allclose(moved[number], world_local(nodes[number])[:3, 3]) for number in animated):
        return np.zeros(3)
    for number, translation in moved.items():
        _set_translation(nodes[number], translation)
    # Kept on the importer's own object, because the meshes do not exist yet.
    gltf.zero123_shifts = shifts
    return np.asarray(middle)


def shift_points(gltf: Any, mesh_named: Any) -> None:
    """Move the points of imported meshes as `bring_near` assumed; `mesh_named` is Blender's collection of meshes."""
    for number, shift in getattr(gltf, "zero123_shifts", {}).items():
        by = Matrix.Translation(-gltf.loc_gltf_to_blender(shift.tolist()))
        for name in gltf.data.meshes[number].blender_name.values():
            mesh_named[name].transform(by, shape_keys=True)


def world_local(node: Any) -> Floats:
    """The matrix (4, 4) of a node to its parent, in glTF's axes."""
    if node.matrix is not None:
        return np.array(node.matrix, np.float64).reshape(4, 4).T
    x, y, z, w = node.rotation or (0.0, 0.0, 0.0, 1.0)
    result = np.eye(4)
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    result[:3, :3] = turn * np.array(node.scale or (1.0, 1.0, 1.0), np.float64)
    result[:3, 3] = node.translation or (0.0, 0.0, 0.0)
    return result


def _world_matrices(nodes: list[Any]) -> dict[int, Floats]:
    """The matrix (4, 4) to the world of each node, parents first."""
    below = {child for node in nodes for child in node.children or []}
    waiting = [(number, np.eye(4)) for number in range(len(nodes)) if number not in below]
    world: dict[int, Floats] = {}
    while waiting:
        number, parent = waiting.pop()
        world[number] = parent @ world_local(nodes[number])
        waiting += [(child, world[number]) for child in nodes[number].children or []]
    return world


def _box(gltf: Any, node: Any) -> Floats | None:
    """The lowest and highest corner (2, 3) of a node's mesh, as its accessors state them; None without."""
    if node.mesh is None:
        return None
    named = [primitive.attributes.get("POSITION") for primitive in gltf.data.meshes[node.mesh].primitives]
    accessors = [gltf.data.accessors[number] for number in named if number is not None]
    if not accessors or any(not one.min or not one.max or one.component_type != FLOAT for one in accessors):
        return None
    return np.array([np.min([one.min for one in accessors], axis=0), np.max([one.max for one in accessors], axis=0)])


def _corners(world_from_local: Floats, box: Floats | None) -> Floats:
    if box is None:
        return np.zeros((0, 3))
    picks = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1).T
    return np.asarray(box[picks, np.arange(3)] @ world_from_local[:3, :3].T + world_from_local[:3, 3])


def _mesh_shifts(nodes: list[Any], boxes: list[Floats | None]) -> dict[int, Floats]:
    """By mesh: how far its points are from their node, where that is far, rounded to what 32 bits hold."""
    # Joints, not the node, place the points of a skin.
    posed = {node.mesh for node in nodes if node.skin is not None}
    shifts: dict[int, Floats] = {}
    for node, box in zip(nodes, boxes, strict=True):
        if box is None or node.mesh in posed:
            continue
        middle = box.mean(axis=0)
        if np.abs(middle).max() > FAR * float((box[1] - box[0]).max()):
            # So rounded, the shift of node and points cancels exactly.
            shifts[node.mesh] = middle.astype(np.float32).astype(np.float64)
    return shifts


def _translations(
    nodes: list[Any], world: dict[int, Floats], shifts: dict[int, Floats], middle: Floats
) -> dict[int, Floats] | None:
    """Return the new translation of each moved node; None if a parent without a size hides it.

    Empty nodes nearer to the old origin than to the new stay, so only distant nodes are moved.
    """
    placed: dict[int, Floats] = {}
    for number, matrix in world.items():
        node = nodes[number]
        place = matrix[:3, 3] + matrix[:3, :3] @ shifts.get(node.mesh, np.zeros(3))
        stays = node.mesh is None and np.linalg.norm(place) < np.linalg.norm(place - middle)
        placed[number] = place if stays else place - middle
    parents = {child: number for number, node in enumerate(nodes) for child in node.children or []}
    moved: dict[int, Floats] = {}
    for number in world:
        parent = parents.get(number)
        if parent is None:
            moved[number] = placed[number]
            continue
        linear = world[parent][:3, :3]
        if np.linalg.cond(linear) > MAX_CONDITION:
            return None
        # A translation is in the parent's axes, the difference of places in the world's.
        moved[number] = np.linalg.solve(linear, placed[number] - placed[parent])
    return moved


def _set_translation(node: Any, translation: Floats) -> None:
    if node.matrix is not None:
        node.matrix = [*node.matrix[:12], *translation.tolist(), node.matrix[15]]
    else:
        node.translation = translation.tolist()
