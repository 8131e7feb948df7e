"""Small glTF files that are built from plain shapes, and pictures of them from chosen directions."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import trimesh
from PIL import Image

from base.outcomes import Outcome
from geometry.camera import look_at_origin
from render.child import RenderChild
from render.formats.registry import model_files
from render.job import RenderJob, RenderResult, view_name
from render.lights import draw_lights
from render.settings import RenderSettings
from tests.render.conftest import write_glb

RED, GREEN, BLUE, GREY = (0.8, 0.0, 0.0), (0.0, 0.6, 0.0), (0.0, 0.0, 0.8), (0.5, 0.5, 0.5)
ABOVE, BELOW, ASIDE = (0.1, 0.1, 1.8), (0.1, 0.1, -1.8), (0.3, -1.7, 0.4)
"""Where cameras are, in our axes (z up)."""
FLAT = {
    "hw": [48, 48],
    "views": 2,
    "samples": 16,
    "light": "uniform",
    "denoise": {"enabled": False},
    "checks": {"bad": []},
}
QUAD = np.array([[-0.5, 0, -0.5], [-0.5, 0, 0.5], [0.5, 0, 0.5], [0.5, 0, -0.5]], np.float32)
"""A square that faces up (glTF's +y)."""
UP, DOWN = ([0, 1, 2], [0, 2, 3]), ([0, 2, 1], [0, 3, 2])
Triangles = Sequence[Sequence[int]]


class Asset:
    """A glTF document in the making; `write` puts it into a file."""

    def __init__(self) -> None:
        self.document: dict[str, Any] = {"asset": {"version": "2.0"}, "nodes": [], "meshes": [], "materials": []}
        self.document["extensionsUsed"] = ["KHR_materials_specular"]
        self.blob, self.views, self.accessors = b"", list[dict[str, Any]](), list[dict[str, Any]]()

    def add(self, values: np.ndarray, *, normalized: bool = False) -> int:
        """The number of a new accessor for these values."""
        kind = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}[values.size // len(values)]
        component = {"float32": 5126, "uint32": 5125, "uint16": 5123, "uint8": 5121}[values.dtype.name]
        self.blob += b"\0" * (-len(self.blob) % 4)
        self.views.append({"buffer": 0, "byteOffset": len(self.blob), "byteLength": values.nbytes})
        self.blob += values.tobytes()
        accessor = {"bufferView": len(self.views) - 1, "componentType": component, "type": kind, "count": len(values)}
        if kind in ("VEC3", "SCALAR"):
            rows = values.reshape(len(values), -1)
            accessor |= {"min": rows.min(axis=0).tolist(), "max": rows.max(axis=0).tolist()}
        self.accessors.append(accessor | ({"normalized": True} if normalized else {}))
        return len(self.accessors) - 1

    def material(self, colour: Sequence[float], *, alpha: float = 1.0, **more: Any) -> int:
        """The number of a new matt material; `more` are its further properties."""
        base = {"baseColorFactor": [*colour, alpha], "metallicFactor": 0.0, "roughnessFactor": 1.0}
        dull = {"KHR_materials_specular": {"specularFactor": 0.0}}
        self.document["materials"].append(
            {"pbrMetallicRoughness": base | more.pop("pbr", {}), "extensions": dull, **more}
        )
        return len(self.document["materials"]) - 1

    def mesh(self, *primitives: tuple[np.ndarray, Triangles, int], **attributes: int) -> int:
        """The number of a new mesh of primitives: points (N, 3), triangles, and a material, −1 for none."""
        parts = []
        for points, triangles, material in primitives:
            part: dict[str, Any] = {"attributes": {"POSITION": self.add(points.astype(np.float32)), **attributes}}
            part["indices"] = self.add(np.array(triangles, np.uint32).ravel())
            parts.append(part | ({"material": material} if material >= 0 else {}))
        self.document["meshes"].append({"primitives": parts})
        return len(self.document["meshes"]) - 1

    def node(self, mesh: int | None = None, **more: Any) -> int:
        """The number of a new node."""
        self.document["nodes"].append(({} if mesh is None else {"mesh": mesh}) | more)
        return len(self.document["nodes"]) - 1

    def write(self, path: Path, **more: Any) -> Path:
        """A binary glTF file of one scene with all nodes that no other node names, unless `more` says otherwise."""
        below = {child for node in self.document["nodes"] for child in node.get("children", ())}
        roots = [number for number in range(len(self.document["nodes"])) if number not in below]
        whole = self.document | {
            "scene": 0,
            "scenes": [{"nodes": roots}],
            "buffers": [{"byteLength": len(self.blob)}],
            "bufferViews": self.views,
            "accessors": self.accessors,
        }
        return write_glb(path, {key: value for key, value in (whole | more).items() if value is not None}, self.blob)


def ball(radius: float = 0.5, *, inside_out: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Points and triangles of a ball around the origin."""
    shape = trimesh.creation.icosphere(subdivisions=3, radius=radius)
    return shape.vertices, shape.faces[:, ::-1] if inside_out else shape.faces


def box(edge: float = 1.0, *, inside_out: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Points and triangles of a cube around the origin."""
    shape = trimesh.creation.box((edge, edge, edge))
    return shape.vertices, shape.faces[:, ::-1] if inside_out else shape.faces


class Seen(NamedTuple):
    """Pictures (H, W, 4) and what the renderer said."""

    pictures: list[np.ndarray]
    result: RenderResult
    folder: Path

    @property
    def middles(self) -> list[list[int]]:
        """The colour in the middle of each picture, of a small square's median."""
        return [
            np.median(rgba[22:26, 22:26].reshape(-1, 4), axis=0).round().astype(int).tolist() for rgba in self.pictures
        ]


def look(
    blender: RenderChild,
    settings: Callable[..., RenderSettings],
    path: Path,
    places: Sequence[Sequence[float]] = (ABOVE, BELOW),
    changes: Mapping[str, Any] | None = None,
) -> Seen:
    """Pictures of a file under even light, from cameras at `places`."""
    chosen = settings(**{**FLAT, **(changes or {})})
    out = path.parent / f"{path.stem}_views"
    job = RenderJob(
        uid="x",
        file=str(path),
        seed=0,
        settings=chosen.model_dump(mode="json"),
        extrinsics=[look_at_origin(np.array(place)).tolist() for place in places],
        lights=draw_lights(chosen.chosen_lights, "x", 0),
        out_dir=str(out),
    )
    result = blender.render(job, model_files(path))
    if result.outcome is not Outcome.OK:
        return Seen([], result, out)
    pictures = []
    for view in range(len(places)):
        with Image.open(out / view_name(view)) as picture:
            pictures.append(np.array(picture.convert("RGBA")))
    return Seen(pictures, result, out)


def is_colour(pixel: Sequence[int], colour: Sequence[float], within: int = 30) -> bool:
    """Whether an opaque pixel has this linear colour, as lit by the even light."""
    stored = [255 * (12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055) for value in colour]
    return pixel[3] > 250 and max(abs(a - b) for a, b in zip(pixel[:3], stored, strict=True)) <= within
