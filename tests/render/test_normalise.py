"""Any model into the unit box: true bounds of what is drawn, whatever the nodes are that put it there."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image
from trimesh.transformations import compose_matrix, quaternion_from_matrix

from base.outcomes import Outcome
from render.run import render_views
from tests.render.conftest import FLAT, write_glb

WEDGE = np.array([[0.0, 0.0, 0.0], [1.0, 0.1, 0.0], [0.2, 0.7, 0.1], [0.1, 0.2, 1.6]], np.float32)
FACES = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]], np.uint16)
Z_UP_FROM_Y_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
TURNED = compose_matrix(angles=(0.3, -0.8, 1.1), translate=(1.0, -2.0, 0.5))
STRETCHED = compose_matrix(scale=(1.5, 0.4, 0.8), translate=(0.0, 0.3, 0.2))
MIRRORED = compose_matrix(scale=(-1.0, 1.0, 1.0), angles=(0.2, 0.0, 0.4))
Node = dict[str, Any]


class Model(NamedTuple):
    """A glTF document with its data, and where its drawn vertices (N, 3) are, in glTF's axes."""

    document: dict[str, Any]
    data: bytes
    points: np.ndarray
    settings: Mapping[str, Any] = MappingProxyType({})


class Data:
    """The buffer of a document in the making."""

    def __init__(self) -> None:
        self.blob, self.views, self.accessors = b"", list[Node](), list[Node]()

    def add(self, values: np.ndarray) -> int:
        """The number of a new accessor for these values."""
        kind = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}[values.size // len(values)]
        component = {"float32": 5126, "uint16": 5123, "uint8": 5121}[values.dtype.name]
        limits = {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()} if kind != "MAT4" else {}
        if kind == "SCALAR":
            limits = {name: [limit] if np.isscalar(limit) else limit for name, limit in limits.items()}
        self.blob += b"\0" * (-len(self.blob) % 4)
        self.views.append({"buffer": 0, "byteOffset": len(self.blob), "byteLength": values.nbytes})
        self.blob += values.tobytes()
        self.accessors.append(
            {"bufferView": len(self.views) - 1, "componentType": component, "type": kind, "count": len(values)} | limits
        )
        return len(self.accessors) - 1


def matrix(value: np.ndarray) -> list[float]:
    return value.T.ravel().tolist()


def moved(points: np.ndarray, *world_from_local: np.ndarray) -> np.ndarray:
    """`points` (N, 3) after the matrices (4, 4), the outermost first."""
    whole = np.linalg.multi_dot([np.eye(4), *world_from_local, np.eye(4)])
    return np.asarray(points @ whole[:3, :3].T + whole[:3, 3])


def model(
    nodes: list[Node], points: list[np.ndarray], data: Data | None = None, vertices: np.ndarray = WEDGE, **more: Any
) -> Model:
    """A document of these nodes; its mesh 0 is the wedge. Roots are the nodes that nobody names."""
    data = data or Data()
    settings = more.pop("settings", {})
    attributes = {"POSITION": data.add(vertices)} | more.pop("attributes", {})
    indices = data.add(FACES.ravel())
    children = {child for node in nodes for child in node.get("children", ())}
    document = {
        "asset": {"version": "2.0"},
        "meshes": [{"primitives": [{"attributes": attributes, "indices": indices}]}],
        "nodes": nodes,
        "scenes": [{"nodes": [number for number in range(len(nodes)) if number not in children]}],
        "buffers": [{"byteLength": len(data.blob)}],
        "bufferViews": data.views,
        "accessors": data.accessors,
    }
    return Model(document | more, data.blob, np.concatenate(points).astype(np.float64), settings)


def roots() -> Model:
    places = [np.eye(4), TURNED, STRETCHED]
    return model([{"mesh": 0, "matrix": matrix(place)} for place in places], [moved(WEDGE, p) for p in places])


def nested(*above: np.ndarray) -> Model:
    nodes = [{"matrix": matrix(place), "children": [number + 1]} for number, place in enumerate(above[:-1])]
    return model([*nodes, {"mesh": 0, "matrix": matrix(above[-1])}], [moved(WEDGE, *above)])


def shared_mesh() -> Model:
    places = [compose_matrix(angles=(0, 0, k), translate=(2.0 * k, 0.3 * k**2, 0)) for k in range(6)]
    return model([{"mesh": 0, "matrix": matrix(place)} for place in places], [moved(WEDGE, p) for p in places])


def gpu_instances() -> Model:
    data = Data()
    shifts = np.array([[0, 0, 0], [3, 0, 0], [0, 0, -2]], np.float32)
    spread = {"EXT_mesh_gpu_instancing": {"attributes": {"TRANSLATION": data.add(shifts)}}}
    node = {"mesh": 0, "matrix": matrix(TURNED), "extensions": spread}
    points = [moved(WEDGE + shift, TURNED) for shift in shifts]
    return model([node], points, data, extensionsUsed=["EXT_mesh_gpu_instancing"])


def skinned() -> Model:
    """Two vertices follow a joint each, the others the first; the node of the mesh itself counts for nothing."""
    data = Data()
    bind = [np.eye(4), compose_matrix(translate=(0.0, 0.2, 1.6))]
    posed = [
        compose_matrix(angles=(0.0, 0.0, 0.5), translate=(0.4, 0.0, 0.0)),
        compose_matrix(translate=(1.0, 0.9, 2.5)),
    ]
    joint = np.array([0, 0, 0, 1])
    influence = np.zeros((4, 4), np.uint8)
    influence[:, 0] = joint
    weights = np.zeros((4, 4), np.float32)
    weights[:, 0] = 1.0
    inverse = np.stack([np.linalg.inv(place).T.ravel() for place in bind]).astype(np.float32)
    attributes = {"JOINTS_0": data.add(influence), "WEIGHTS_0": data.add(weights)}
    skins = [{"joints": [1, 2], "inverseBindMatrices": data.add(inverse)}]
    nodes = [
        {"mesh": 0, "skin": 0, "matrix": matrix(STRETCHED)},
        *({"translation": place[:3, 3].tolist(), "rotation": quaternion(place)} for place in posed),
    ]
    points = np.stack([moved(v[None], posed[j], np.linalg.inv(bind[j]))[0] for v, j in zip(WEDGE, joint, strict=True)])
    return model(nodes, [points], data, attributes=attributes, skins=skins)


def quaternion(place: np.ndarray) -> list[float]:
    w, x, y, z = quaternion_from_matrix(place)
    return [x, y, z, w]


def animated(pose: str) -> Model:
    """Its animation begins where it does not rest: one of two wedges far to the side."""
    data = Data()
    times = data.add(np.array([0.0, 1.0], np.float32))
    shifts = np.array([[4.0, 0.0, 0.0], [9.0, 0.0, 0.0]], np.float32)
    sampler = {"input": times, "output": data.add(shifts), "interpolation": "LINEAR"}
    channel = {"sampler": 0, "target": {"node": 0, "path": "translation"}}
    nodes = [{"mesh": 0, "translation": [0.0, 2.0, 0.0]}, {"mesh": 0}]
    shift = shifts[0] if pose == "first_frame" else np.array([0.0, 2.0, 0.0])
    animations = [{"samplers": [sampler], "channels": [channel]}]
    return model(nodes, [WEDGE + shift, WEDGE], data, animations=animations, settings={"pose": pose})


def loose_vertices() -> Model:
    """In the mesh of the wedge, far from it: a line, a point, and a vertex that nothing names."""
    data = Data()
    line, point = data.add(np.array([4, 5], np.uint16)), data.add(np.array([6], np.uint16))
    made = model([{"mesh": 0}], [WEDGE], data, vertices=np.concatenate([WEDGE, 50 + WEDGE]))
    primitives = made.document["meshes"][0]["primitives"]
    primitives += [primitives[0] | {"indices": line, "mode": 1}, primitives[0] | {"indices": point, "mode": 0}]
    return made


def under_a_light() -> Model:
    lights = {"KHR_lights_punctual": {"lights": [{"type": "point", "intensity": 1e4}]}}
    node = {"matrix": matrix(TURNED), "extensions": {"KHR_lights_punctual": {"light": 0}}, "children": [1]}
    camera = {"camera": 0, "translation": [40.0, 0.0, 0.0]}
    cameras = [{"type": "perspective", "perspective": {"yfov": 1.0, "znear": 0.1}}]
    used: dict[str, Any] = {"extensions": lights, "extensionsUsed": ["KHR_lights_punctual"], "cameras": cameras}
    place = compose_matrix(angles=(0.0, 0.9, 0.0), translate=(0.0, -3.0, 1.0))
    return model([node, {"mesh": 0, "matrix": matrix(place)}, camera], [moved(WEDGE, TURNED, place)], **used)


MODELS = {
    "several roots": roots,
    "nested": lambda: nested(STRETCHED, TURNED, STRETCHED),
    "mirrored": lambda: nested(MIRRORED, TURNED),
    "mirrored twice": lambda: nested(MIRRORED, TURNED, MIRRORED),
    "one mesh, many nodes": shared_mesh,
    "instances": gpu_instances,
    "skinned": skinned,
    "first frame": lambda: animated("first_frame"),
    "rest": lambda: animated("rest"),
    "loose vertices": loose_vertices,
    "under a light": under_a_light,
    "far away": lambda: nested(compose_matrix(translate=(1e5, -2e5, 3e4)), TURNED),
    "tiny": lambda: nested(compose_matrix(scale=(1e-5, 1e-5, 1e-5)), TURNED),
    "huge": lambda: nested(compose_matrix(scale=(1e5, 1e5, 1e5)), TURNED),
}
COARSE = {"far away": 0.02, "skinned": 1e-5}
"""Blender keeps places in 32 bits: far away, and through bones, that is the error in units of the model."""


@pytest.mark.parametrize("name", MODELS)
def test_the_box_holds_the_drawn_vertices_of_one_plain_mesh(
    name: str, settings: Any, blender: Any, tmp_path: Path
) -> None:
    made = MODELS[name]()
    points = made.points @ Z_UP_FROM_Y_UP.T
    low, high = points.min(axis=0), points.max(axis=0)
    extent = (high - low).max()
    chosen = settings(**FLAT, checks={"bad": []}, **made.settings)
    path = write_glb(tmp_path / "x.glb", made.document, made.data)
    result = render_views(blender, path, "wedge", chosen, 3, tmp_path / "out")
    assert (result.outcome, result.reason) == (Outcome.OK, "")
    found = json.loads((tmp_path / "out" / "views.json").read_text())["normalisation"]
    tolerance = COARSE.get(name, 2e-6 * max(extent, np.abs(points).max()))
    np.testing.assert_allclose(found["bounds"], [low, high], rtol=0, atol=tolerance)
    np.testing.assert_allclose(found["centre"], (low + high) / 2, rtol=0, atol=tolerance)
    np.testing.assert_allclose(found["scale"], 1 / extent, rtol=2 * tolerance / extent + 1e-6)

    plain = (made.points - (made.points.min(axis=0) + made.points.max(axis=0)) / 2) / extent
    baked = baked_model(plain.astype(np.float32))
    render_views(blender, write_glb(tmp_path / "y.glb", *baked), "wedge", chosen, 3, tmp_path / "plain")
    for view in range(chosen.views):
        seen, expected = (alpha(tmp_path / folder / f"{view:02d}.webp") for folder in ("out", "plain"))
        assert expected.mean() > 0.005
        assert np.abs(seen - expected).mean() < 0.002


def test_a_light_inside_the_model_lights_nothing(settings: Any, blender: Any, tmp_path: Path) -> None:
    made = under_a_light()
    dark = FLAT | {"light": "dark", "lights": {"dark": {"lamps": [], "world": 0.0}}, "checks": {"bad": []}}
    chosen = settings(**dark)
    result = render_views(blender, write_glb(tmp_path / "x.glb", made.document, made.data), "x", chosen, 3, tmp_path)
    assert (result.outcome, result.reason) == (Outcome.OK, "")
    for view in range(chosen.views):
        with Image.open(tmp_path / f"{view:02d}.webp") as picture:
            rgba = np.array(picture)
        assert rgba[..., 3].any()
        assert not rgba[..., :3].any()


def baked_model(points: np.ndarray) -> tuple[dict[str, Any], bytes]:
    """One mesh of wedges whose vertices are where they are drawn."""
    faces = np.concatenate([FACES + 4 * number for number in range(len(points) // 4)]).astype(np.uint16)
    data = Data()
    primitive = {"attributes": {"POSITION": data.add(points)}, "indices": data.add(faces.ravel())}
    document = {
        "asset": {"version": "2.0"},
        "meshes": [{"primitives": [primitive]}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
        "buffers": [{"byteLength": len(data.blob)}],
        "bufferViews": data.views,
        "accessors": data.accessors,
    }
    return document, data.blob


def alpha(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.array(picture)[..., 3] / 255.0
