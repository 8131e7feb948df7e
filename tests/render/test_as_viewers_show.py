"""Each model looks as viewers show it: many layers, scenes, hidden nodes, colours in bytes, long names."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from base.outcomes import Outcome
from render.child import RenderChild
from tests.render.assets import ABOVE, BLUE, GREEN, QUAD, RED, UP, Asset, is_colour, look

LAYERS = 30
"""More than the eight transparent layers behind which the original's recipe is black."""


def test_many_transparent_layers_hide_nothing(settings: Any, blender: RenderChild, tmp_path: Path) -> None:
    """Thin sheets over a floor; all glow in one green, so that the stack has it too."""
    asset = Asset()
    glow = {"pbr": {"baseColorFactor": [0, 0, 0, 0.04]}, "emissiveFactor": GREEN, "doubleSided": True}
    floor = asset.material(GREEN, emissiveFactor=GREEN, pbr={"baseColorFactor": [0, 0, 0, 1]})
    asset.node(asset.mesh((QUAD, UP, floor)))
    sheet = asset.mesh((QUAD, UP, asset.material(GREEN, alphaMode="BLEND", **glow)))
    for number in range(LAYERS):
        asset.node(sheet, translation=[0.0, 0.01 * (number + 1), 0.0])
    path = asset.write(tmp_path / "x.glb")
    assert is_colour(look(blender, settings, path, [ABOVE]).middles[0], GREEN, within=6)
    few = look(blender, settings, path, [ABOVE], {"bounces": {"transparent": 8}})
    assert not is_colour(few.middles[0], GREEN, within=60)  # the test sees the fault


@pytest.mark.parametrize(("scene", "colour"), [(None, RED), (1, BLUE)])
def test_one_scene_is_shown(
    scene: int | None, colour: tuple[float, ...], settings: Any, blender: RenderChild, tmp_path: Path
) -> None:
    """Three squares, the later above the earlier: in the first scene, in the second, and in none."""
    asset = Asset()
    for height, own in ((0.0, RED), (0.1, BLUE), (0.2, GREEN)):
        asset.node(asset.mesh((QUAD, UP, asset.material(own))), translation=[0.0, height, 0.0])
    path = asset.write(tmp_path / "x.glb", scene=scene, scenes=[{"nodes": [0]}, {"nodes": [1]}])
    seen = look(blender, settings, path, [ABOVE])
    assert is_colour(seen.middles[0], colour, within=12)
    assert seen.result.checks["meshes"] == 1


@pytest.mark.parametrize("is_required", [False, True])
def test_hidden_nodes_are_not_seen(is_required: bool, settings: Any, blender: RenderChild, tmp_path: Path) -> None:
    """A lid over a square: its parent is hidden."""
    asset = Asset()
    asset.node(asset.mesh((QUAD, UP, asset.material(RED))))
    lid = asset.node(asset.mesh((QUAD, UP, asset.material(BLUE))), translation=[0.0, 0.1, 0.0])
    asset.node(children=[lid], extensions={"KHR_node_visibility": {"visible": False}})
    asset.document["extensionsUsed"].append("KHR_node_visibility")
    if is_required:
        asset.document["extensionsRequired"] = ["KHR_node_visibility"]
    seen = look(blender, settings, asset.write(tmp_path / "x.glb"), [ABOVE])
    assert seen.result.outcome is Outcome.OK, seen.result.reason
    assert is_colour(seen.middles[0], RED, within=12)


def test_vertex_colours_of_bytes_are_those_of_shares(settings: Any, blender: RenderChild, tmp_path: Path) -> None:
    pictures = []
    for name, largest in (("bytes", 255), ("shares", 1)):
        red, green = f"{largest * 0.8} 0 0", f"0 {largest * 0.4} {largest}"
        corners = [f"v {x} 0 {z} {colour}" for (x, _, z), colour in zip(QUAD, (red, red, green, green), strict=True)]
        path = tmp_path / f"{name}.obj"
        path.write_text("\n".join([*corners, "f 1 2 3 4", ""]))
        pictures.append(look(blender, settings, path, [ABOVE]).pictures[0].astype(int))
    assert np.abs(pictures[0] - pictures[1]).max() <= 2
    assert pictures[1][..., :3].max() > 150


def test_materials_with_equal_beginnings_keep_their_colours(
    settings: Any, blender: RenderChild, tmp_path: Path
) -> None:
    """Blender's names end after 63 letters."""
    stem = "as_sketchup_and_revit_write_them_" * 3
    colours = "".join(
        f"newmtl {stem}{name}\nKd {red} 0 {blue}\nKs 0 0 0\n" for name, red, blue in (("r", 0.8, 0), ("b", 0, 0.8))
    )
    (tmp_path / "x.mtl").write_text(colours)
    points = "v -1 0 -1\nv -1 0 1\nv 1 0 1\nv 1 0 -1\n"
    (tmp_path / "x.obj").write_text(f"mtllib x.mtl\n{points}usemtl {stem}r\nf 1 2 3 4\nusemtl {stem}b\nf 4 3 2 1\n")
    above, below = look(blender, settings, tmp_path / "x.obj").middles
    assert is_colour(above, RED, within=40)
    assert is_colour(below, BLUE, within=40)
