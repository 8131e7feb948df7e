"""What nodes do to a mesh: transforms, scenes and instances."""

from typing import Any

import numpy as np

from tests.render.three.feature import Corner, Feature, textured_box, unlit
from tests.render.three.gltf import Gltf
from tests.render.three.shapes import box, encoded, picture

INSTANCING = "EXT_mesh_gpu_instancing"
HALF_TURN = float(np.sqrt(0.5))


def _small() -> Gltf:
    """A textured box of a third of the size, so that several fit beside each other."""
    return textured_box(encoded(picture()), shape=box((0.3, 0.24, 0.18)), shade=unlit)


def _placed(**node: Any) -> Gltf:
    gltf = textured_box(encoded(picture()))
    gltf.json["nodes"][0] |= node
    return gltf


def _nested() -> Gltf:
    gltf = _placed()
    turn = [0.0, HALF_TURN, 0.0, HALF_TURN]
    gltf.json["nodes"] += [{"children": [0], "rotation": turn}, {"children": [1], "scale": [2.0, 1.0, 1.0]}]
    gltf.json["scenes"][0]["nodes"] = [2]
    return gltf


def _sheared() -> Gltf:
    """A turned box under a node that is twice as wide as high: its corners are no right angles any more."""
    gltf = _placed(rotation=[0.0, 0.0, *EIGHTH])
    gltf.json["nodes"].append({"children": [0], "scale": [2.0, 1.0, 1.0]})
    gltf.json["scenes"][0]["nodes"] = [1]
    return gltf


def _scenes(*, chosen: int | None) -> Gltf:
    """Two scenes: a box, and a box twice as long."""
    gltf = textured_box(encoded(picture()))
    gltf.json["nodes"].append({"mesh": 0, "scale": [1.0, 2.0, 1.0]})
    gltf.json["scenes"].append({"nodes": [1]})
    del gltf.json["scene"]
    if chosen is not None:
        gltf.json["scene"] = chosen
    return gltf


def _orphan() -> Gltf:
    """A node that is in no scene."""
    gltf = textured_box(encoded(picture()))
    gltf.json["nodes"].append({"mesh": 0, "scale": [1.0, 2.0, 1.0]})
    return gltf


def _instanced(rotation: str = "f4") -> Gltf:
    """Three boxes of one mesh."""
    gltf = _small()
    gltf.require(INSTANCING)
    places = np.array([(-0.35, -0.28, -0.21), (0.35, 0.28, 0.21), (0.0, 0.0, 0.0)], np.float32)
    turns = np.array([(0, 0, 0, 1), (0, 0, 0, 1), (0, HALF_TURN, 0, HALF_TURN)])
    scales = np.array([(1, 1, 1), (1, 1, 1), (0.5, 1, 1.5)], np.float32)
    whole = rotation != "f4"
    turns = (turns * np.iinfo(rotation).max).round() if whole else turns
    attributes = {
        "TRANSLATION": gltf.accessor(places),
        "ROTATION": gltf.accessor(turns.astype(rotation), normalized=whole),
        "SCALE": gltf.accessor(scales),
    }
    gltf.json["nodes"][0]["extensions"] = {INSTANCING: {"attributes": attributes}}
    return gltf


def _lit_from_inside() -> Gltf:
    """A box with a lamp and a camera of its own far away, which show nothing."""
    gltf = textured_box(encoded(picture()))
    gltf.json["extensions"] = {"KHR_lights_punctual": {"lights": [{"type": "point", "intensity": 500.0}]}}
    gltf.add("cameras", {"type": "perspective", "perspective": {"yfov": 1.0, "znear": 0.1}})
    gltf.node(translation=[9.0, 0.0, 0.0], extensions={"KHR_lights_punctual": {"light": 0}})
    gltf.node(translation=[0.0, 9.0, 0.0], camera=0)
    return gltf


def _beside_nothing() -> Gltf:
    """A box, and far from it a node of scale 0."""
    gltf = textured_box(encoded(picture()))
    gltf.node(mesh=0, translation=[40.0, 0.0, 0.0], scale=[0.0, 0.0, 0.0])
    return gltf


def _far_away() -> Gltf:
    """Two boxes beside each other, at the coordinates of a map."""
    gltf = _small()
    places = [(EAST - 0.35, 0.0, NORTH), (EAST + 0.35, 0.0, NORTH)]
    gltf.json["nodes"] = []
    gltf.json["scenes"][0]["nodes"] = []
    for place in places:
        gltf.node(mesh=0, translation=list(place))
    return gltf


EAST, NORTH = 4_300_000.0, -5_800_000.0
FAR: dict[str, Any] = {
    "low": (EAST - 0.5, -0.12, NORTH - 0.09), "high": (EAST + 0.5, 0.12, NORTH + 0.09), "colour": 1.5
}  # fmt: skip
EIGHTH = (float(np.sin(np.pi / 8)), float(np.cos(np.pi / 8)))
"""The last two numbers of the quaternion of an eighth of a turn."""
REACH = 0.9 * HALF_TURN
SHEARED: dict[str, Corner] = {"low": (-2 * REACH, -REACH, -0.3), "high": (2 * REACH, REACH, 0.3)}
LONG: dict[str, Corner] = {"low": (-0.5, -0.8, -0.3), "high": (0.5, 0.8, 0.3)}
TURNED: dict[str, Corner] = {"low": (-0.6, -0.4, -0.5), "high": (0.6, 0.4, 0.5)}
MATRIX = [0.0, 0.0, -1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 5.0, 6.0, 7.0, 1.0]

NODES: dict[str, Feature] = {
    "node_matrix": Feature(write=lambda: _placed(matrix=MATRIX), low=(4.4, 5.6, 6.5), high=(5.6, 6.4, 7.5)),
    "node_nested": Feature(write=_nested, **TURNED),
    "node_mirrored": Feature(write=lambda: _placed(scale=[-1.0, 1.0, 1.0])),
    "node_point_reflected": Feature(write=lambda: _placed(scale=[-1.0, -1.0, -1.0])),
    "node_sheared": Feature(write=_sheared, **SHEARED),
    "scene_first": Feature(write=lambda: _scenes(chosen=0)),
    "scene_second": Feature(write=lambda: _scenes(chosen=1), **LONG),
    "scene_not_named": Feature(write=lambda: _scenes(chosen=None)),
    "scene_without_orphans": Feature(write=_orphan),
    "own_lights_and_cameras": Feature(write=_lit_from_inside),
    "instances": Feature(write=_instanced, colour=1.5),
    "instances_quantised": Feature(write=lambda: _instanced("i1"), colour=1.5),
    "node_of_no_size": Feature(write=_beside_nothing),
    "node_of_another_continent": Feature(write=_far_away, **FAR),
}
