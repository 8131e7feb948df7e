"""Shapes that move: morph targets, skins and animations, at the first frame or at rest."""

from typing import Any

import numpy as np

from tests.render.three.feature import Corner, Feature, Shade, matte, textured_box, unlit
from tests.render.three.gltf import Gltf, describe
from tests.render.three.shapes import box, encoded, picture


def _morphed(*, mesh: list[float] | None = None, node: list[float] | None = None, animated: bool = False) -> Gltf:
    """A flat box that a morph target raises to the usual one."""
    gltf = textured_box(encoded(picture()), shape=box((1.0, 0.4, 0.6)))
    delta = box().position - box((1.0, 0.4, 0.6)).position
    (primitive,) = gltf.json["meshes"][0]["primitives"]
    primitive["targets"] = [{"POSITION": gltf.accessor(delta.astype(np.float32))}]
    if mesh is not None:
        gltf.json["meshes"][0]["weights"] = mesh
    if node is not None:
        gltf.json["nodes"][0]["weights"] = node
    if animated:
        _animate(gltf, "weights", np.array([1.0, 0.0], np.float32))
    return gltf


def _animate(gltf: Gltf, path: str, values: Any, *, start: float = 0.0, node: int = 0) -> Gltf:
    """Move `path` of a node from the first of two values to the second."""
    times = gltf.accessor(np.array([start, start + 1.0], np.float32))
    sampler = {"input": times, "output": gltf.accessor(values), "interpolation": "LINEAR"}
    channel = {"sampler": 0, "target": {"node": node, "path": path}}
    gltf.json["accessors"][sampler["output"]]["normalized"] = values.dtype != np.float32
    gltf.add("animations", {"samplers": [sampler], "channels": [channel]})
    return gltf


def _animated(*, start: float = 0.0) -> Gltf:
    """A box that begins twice as long as its node says."""
    return _animate(
        textured_box(encoded(picture())), "scale", np.array([(1, 2, 1), (1, 1, 1)], np.float32), start=start
    )


def _skinned(*, animated: bool = False, shade: Shade = matte) -> Gltf:
    """A box of which the upper half hangs on a joint that is half as high again as it was bound."""
    gltf = textured_box(encoded(picture()), shade=shade)
    shape = box()
    is_up = shape.position[:, 1] > 0
    joints = np.zeros((24, 4), np.uint8)
    joints[:, 0] = is_up
    weights = np.tile(np.array([1, 0, 0, 0], np.float32), (24, 1))
    (primitive,) = gltf.json["meshes"][0]["primitives"]
    primitive["attributes"] |= {"JOINTS_0": gltf.accessor(joints), "WEIGHTS_0": gltf.accessor(weights)}
    inverse = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
    inverse[1, 3, 1] = -0.4
    first = len(gltf.json["nodes"])
    gltf.json["nodes"] += [{"children": [first + 1]}, {"translation": [0.0, 0.6, 0.0]}]
    gltf.json["scenes"][0]["nodes"].append(first)
    skin = {"joints": [first, first + 1], "inverseBindMatrices": gltf.accessor(inverse.reshape(2, 16))}
    gltf.json["nodes"][0]["skin"] = gltf.add("skins", skin)
    if animated:
        _animate(gltf, "translation", np.array([(0, 0.8, 0), (0, 0.6, 0)], np.float32), node=first + 1)
    return gltf


def _two_animations() -> Gltf:
    """The first is the one that plays."""
    return _animate(_animated(), "scale", np.array([(3, 1, 1), (3, 1, 1)], np.float32))


def _cubic() -> Gltf:
    """Between tangents the value is in the middle."""
    gltf = _animated()
    (sampler,) = gltf.json["animations"][0]["samplers"]
    keys = np.array([(9, 9, 9), (1, 2, 1), (9, 9, 9), (9, 9, 9), (1, 1, 1), (9, 9, 9)], np.float32)
    sampler |= {"interpolation": "CUBICSPLINE", "output": gltf.accessor(keys)}
    return gltf


def _in_a_moved_node() -> Gltf:
    """A skinned mesh is where its joints are, whatever its own node says."""
    gltf = _skinned()
    gltf.json["nodes"][0] |= {"translation": [3.0, 2.0, 1.0], "scale": [2.0, 2.0, 2.0]}
    return gltf


def _by_eight_joints() -> Gltf:
    """The weight of the upper joint is in the second set of weights, as bytes."""
    gltf = _skinned()
    (primitive,) = gltf.json["meshes"][0]["primitives"]
    is_up = box().position[:, 1] > 0
    first, second = np.zeros((24, 4), np.uint8), np.zeros((24, 4), np.uint8)
    first[:, 0], second[:, 2] = 255 * ~is_up, 255 * is_up
    joints = np.zeros((24, 4), np.uint16)
    joints[:, 2] = 1
    primitive["attributes"] |= {
        "WEIGHTS_0": gltf.accessor(first, normalized=True),
        "JOINTS_0": gltf.accessor(np.zeros((24, 4), np.uint16)),
        "WEIGHTS_1": gltf.accessor(second, normalized=True),
        "JOINTS_1": gltf.accessor(joints),
    }
    return gltf


def _on_scaled_joints(scale: list[float]) -> Gltf:
    """A skin whose first joint is scaled; its bind matrices take that back."""
    gltf = _skinned()
    first, second = gltf.json["skins"][0]["joints"]
    gltf.json["nodes"][first]["scale"] = scale
    gltf.json["nodes"][second]["translation"] = [0.0, 0.6 / scale[1], 0.0]
    inverse = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
    inverse[:, [0, 1, 2], [0, 1, 2]] = 1 / np.array(scale)
    inverse[1, 3, 1] = -0.4 / scale[1]
    gltf.json["skins"][0]["inverseBindMatrices"] = gltf.accessor(inverse.reshape(2, 16))
    return gltf


def _held_by_a_joint(scale: list[float]) -> Gltf:
    """A skinned box, and one that hangs on a scaled joint as on any node."""
    gltf, shape = _skinned(shade=unlit), box((0.4, 0.32, 0.24))
    second = gltf.json["skins"][0]["joints"][1]
    mesh = gltf.mesh(shape.attributes(), shape.indices, material=0)
    gltf.json["nodes"][second] |= {"children": [gltf.add("nodes", {"mesh": mesh})], "scale": scale}
    return gltf


def _without_bind_matrices() -> Gltf:
    """Joints that are bound where the mesh's own origin is."""
    gltf = _skinned()
    del gltf.json["skins"][0]["inverseBindMatrices"]
    return gltf


def _two_targets() -> Gltf:
    """Half of what a box lacks from each of two targets, one of them sparse and with normals."""
    gltf = _morphed(mesh=[0.5, 0.5])
    (primitive,) = gltf.json["meshes"][0]["primitives"]
    (target,) = primitive["targets"]
    delta = (box().position - box((1.0, 0.4, 0.6)).position).astype(np.float32)
    sparse = {
        "count": 24,
        "indices": {"bufferView": gltf.view(np.arange(24, dtype=np.uint16).tobytes()), "componentType": 5123},
        "values": {"bufferView": gltf.view(delta.tobytes())},
    }
    held = gltf.add("accessors", describe(delta) | {"sparse": sparse})
    primitive["targets"] = [target, {"POSITION": held, "NORMAL": gltf.accessor(np.zeros((24, 3), np.float32))}]
    return gltf


def _turned_by_whole_numbers() -> Gltf:
    """A quarter turn, as the animation's 16 bits say."""
    turns = np.array([(0, 23170, 0, 23170), (0, 0, 0, 32767)], np.int16)
    return _animate(textured_box(encoded(picture())), "rotation", turns)


LONG: dict[str, Corner] = {"low": (-0.5, -0.8, -0.3), "high": (0.5, 0.8, 0.3)}
UP: dict[str, Corner] = {"low": (-0.5, -0.4, -0.3), "high": (0.5, 0.6, 0.3)}

POSES: dict[str, Feature] = {
    "morph_unweighted": Feature(write=_morphed, low=(-0.5, -0.2, -0.3), high=(0.5, 0.2, 0.3)),
    "morph_of_the_mesh": Feature(write=lambda: _morphed(mesh=[1.0])),
    "morph_of_the_node": Feature(write=lambda: _morphed(mesh=[0.0], node=[1.0])),
    "morph_animated": Feature(write=lambda: _morphed(animated=True)),
    "animation": Feature(write=_animated, **LONG),
    "animation_starts_late": Feature(write=lambda: _animated(start=3.0), **LONG),
    "skin": Feature(write=_skinned, **UP),
    "animation_at_rest": Feature(write=_animated, rest=True),
    "skin_at_rest": Feature(write=lambda: _skinned(animated=True), rest=True),
    "skin_animated": Feature(write=lambda: _skinned(animated=True), low=(-0.5, -0.4, -0.3), high=(0.5, 0.8, 0.3)),
    "animation_first_of_two": Feature(write=_two_animations, **LONG),
    "animation_cubic": Feature(write=_cubic, **LONG),
    "animation_quantised": Feature(write=_turned_by_whole_numbers, low=(-0.3, -0.4, -0.5), high=(0.3, 0.4, 0.5)),
    "morph_of_two_targets": Feature(write=_two_targets),
    "skin_by_eight_joints": Feature(write=_by_eight_joints, reference=_skinned, **UP),
    "skin_without_bind_matrices": Feature(write=_without_bind_matrices, low=(-0.5, -0.4, -0.3), high=(0.5, 1.0, 0.3)),
    "skin_on_large_joints": Feature(write=lambda: _on_scaled_joints([100.0, 100.0, 100.0]), **UP),
    "skin_on_wide_joints": Feature(write=lambda: _on_scaled_joints([2.0, 1.0, 1.0]), **UP),
    "skin_on_mirrored_joints": Feature(write=lambda: _on_scaled_joints([-1.0, 1.0, 1.0]), **UP),
    "mesh_on_a_joint": Feature(
        write=lambda: _held_by_a_joint([1.0, 1.0, 1.0]), low=(-0.5, -0.4, -0.3), high=(0.5, 0.76, 0.3)
    ),
    "mesh_on_a_wide_joint": Feature(
        write=lambda: _held_by_a_joint([2.0, 1.0, 1.0]), low=(-1.0, -0.4, -0.3), high=(1.0, 0.76, 0.3)
    ),
    "skin_in_a_moved_node": Feature(write=_in_a_moved_node, **UP),
}
