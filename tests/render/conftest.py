"""Settings, small models, and one Blender child that the tests of this room share."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from base.settings import Layer, merge, read_yaml, validate
from render.child import RenderChild
from render.settings import RenderSettings
from tests.render.models import write_marker_object
from tests.render.scripts import run_in_blender

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "objects"
FLAT = {
    "hw": [64, 64],
    "samples": 8,
    "light": "uniform",
    "bounces": {"total": 0, "diffuse": 0, "glossy": 0, "transmission": 0, "transparent": 0},
    "denoise": {"enabled": False},
}
"""Settings of a quick picture of plain colours: an even light, no bounces."""


@pytest.fixture(scope="session")
def shipped() -> dict[str, Any]:
    """The section `render` of the shipped pipeline.yaml."""
    return read_yaml(ROOT / "pipeline.yaml")["metadata"]["pipeline"]["render"]


@pytest.fixture(scope="session")
def settings(shipped: dict[str, Any]) -> Callable[..., RenderSettings]:
    """`settings(views=2, …)`: the shipped settings, small and quick, with some values changed."""

    def make(**changes: Any) -> RenderSettings:
        small = {"hw": [64, 64], "views": 2, "samples": 4}
        return validate(RenderSettings, Layer("test", merge(merge(shipped, small), changes)))

    return make


@pytest.fixture(scope="session")
def blender(settings: Callable[..., RenderSettings]) -> Iterator[RenderChild]:
    """A real Blender child."""
    with RenderChild(settings()) as child:
        yield child


def write_glb(path: Path, document: dict[str, Any], blob: bytes = b"") -> Path:
    """A binary glTF file with this JSON and this binary chunk."""
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    blob += b"\0" * (-len(blob) % 4)
    chunks = len(text).to_bytes(4, "little") + b"JSON" + text
    if blob:
        chunks += len(blob).to_bytes(4, "little") + b"BIN\0" + blob
    path.write_bytes(b"glTF" + (2).to_bytes(4, "little") + (12 + len(chunks)).to_bytes(4, "little") + chunks)
    return path


EXPORT = """
import os
import sys
import bpy
source, folder = sys.argv[1:]
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.wm.obj_import(filepath=source)
for suffix in ("usd", "usda", "usdc", "usdz"):
    bpy.ops.wm.usd_export(filepath=f"{folder}/x.{suffix}")
bpy.ops.export_scene.fbx(filepath=f"{folder}/x.fbx", colors_type="SRGB")
bpy.ops.wm.save_as_mainfile(filepath=f"{folder}/x.blend")
bpy.ops.mesh.primitive_cube_add(size=9)
bpy.context.object.hide_viewport = True
bpy.ops.export_scene.fbx(filepath=f"{folder}/hiding.fbx", colors_type="SRGB")
os._exit(0)  # Blender that wrote a file may not end by itself
"""


@pytest.fixture(scope="session")
def exported(tmp_path_factory) -> Path:
    """The marker object in the formats that Blender alone writes; in `hiding.fbx` with a hidden cube around it."""
    folder = tmp_path_factory.mktemp("exported")
    run_in_blender(EXPORT, str(write_marker_object(folder / "x.obj")), str(folder), scratch=folder)
    return folder
