"""The framing counts what can be seen, and the frame shown is one that shows something."""

import base64
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image

from base.outcomes import Outcome
from render.blender.strays import find_strays
from render.child import RenderChild
from tests.render.assets import BLUE, GREEN, QUAD, RED, UP, Asset, ball, box, is_colour, look


def extents(result: Any) -> list[float]:
    """The edges of the box that was framed."""
    low, high = np.array(result.normalisation["bounds"])
    return [round(float(edge), 3) for edge in high - low]


def picture(alpha: int) -> dict[str, Any]:
    """An image of one alpha as a data URI's part of a document."""
    stream = BytesIO()
    Image.fromarray(np.full((4, 4, 4), (200, 200, 200, alpha), np.uint8)).save(stream, "PNG")
    return {"uri": "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()}


def clear_material(asset: Asset, kind: str) -> tuple[int, dict[str, int]]:
    """A material of which nothing is seen, and what its mesh needs beside positions."""
    if kind == "factor":
        return asset.material(BLUE, alpha=0.0, alphaMode="BLEND"), {}
    if kind == "mask":
        return asset.material(BLUE, alpha=0.3, alphaMode="MASK"), {}
    if kind == "unlit":
        unlit = {"extensions": {"KHR_materials_unlit": {}}}
        asset.document["extensionsUsed"].append("KHR_materials_unlit")
        return asset.material(BLUE, alpha=0.0, alphaMode="BLEND", **unlit), {}
    if kind == "vertex colours":
        clear = asset.add(np.tile(np.array([[1, 1, 1, 0]], np.float32), (8, 1)))
        return asset.material(BLUE, alphaMode="BLEND"), {"COLOR_0": clear}
    asset.document |= {"images": [picture(0)], "textures": [{"source": 0}]}
    mode = "MASK" if kind == "masking texture" else "BLEND"
    textured = asset.material(BLUE, alphaMode=mode, pbr={"baseColorTexture": {"index": 0}})
    return textured, {"TEXCOORD_0": asset.add(np.zeros((8, 2), np.float32))}


CLEAR = ["factor", "mask", "unlit", "vertex colours", "texture", "masking texture"]


@pytest.mark.parametrize("kind", CLEAR)
@pytest.mark.parametrize("place", ["around", "same mesh"])
def test_what_is_transparent_is_not_framed(
    kind: str, place: str, settings: Any, blender: RenderChild, tmp_path: Path
) -> None:
    asset = Asset()
    figure = (*ball(), asset.material(RED))
    clear, attributes = clear_material(asset, kind)
    points, triangles = box(8.0)
    around = asset.mesh((points, triangles, clear), **attributes)
    if place == "around":
        asset.node(asset.mesh(figure))
    else:
        asset.document["meshes"][around]["primitives"] += asset.document["meshes"][asset.mesh(figure)]["primitives"]
    asset.node(around)
    seen = look(blender, settings, asset.write(tmp_path / "x.glb"))
    assert extents(seen.result) == pytest.approx([1.0, 1.0, 1.0], abs=0.02)
    assert all(is_colour(pixel, RED) for pixel in seen.middles)
    assert seen.result.checks["unseen_faces"] == 12


def test_a_half_transparent_box_is_framed(settings: Any, blender: RenderChild, tmp_path: Path) -> None:
    asset = Asset()
    asset.node(asset.mesh((*ball(), asset.material(RED))))
    asset.node(asset.mesh((*box(8.0), asset.material(BLUE, alpha=0.02, alphaMode="BLEND"))))
    assert extents(look(blender, settings, asset.write(tmp_path / "x.glb")).result) == [8.0, 8.0, 8.0]


@pytest.mark.parametrize("scale", [[0, 0, 0], [1, 0, 0], [0, 1, 0]])
def test_nodes_without_a_size_are_not_framed(
    scale: list[int], settings: Any, blender: RenderChild, tmp_path: Path
) -> None:
    asset = Asset()
    asset.node(asset.mesh((*ball(), asset.material(RED))))
    asset.node(asset.mesh((*box(), asset.material(GREEN))), translation=[10, 0, 0], scale=scale)
    seen = look(blender, settings, asset.write(tmp_path / "x.glb"))
    assert extents(seen.result) == pytest.approx([1.0, 1.0, 1.0], abs=0.02)
    assert seen.result.checks["unseen_faces"] == 12


def test_a_stray_triangle_is_not_framed_unless_all_is_asked_for(
    settings: Any, blender: RenderChild, tmp_path: Path
) -> None:
    asset = Asset()
    asset.node(asset.mesh((*ball(), asset.material(RED))))
    asset.node(asset.mesh((QUAD[:3] * 0.1 + [60, 0, 0], UP[:1], asset.material(GREEN))))
    path = asset.write(tmp_path / "x.glb")
    seen = look(blender, settings, path)
    assert extents(seen.result) == pytest.approx([1.0, 1.0, 1.0], abs=0.02)
    assert seen.result.checks["stray_faces"] == 1
    assert all(is_colour(pixel, RED) for pixel in seen.middles)
    every = look(blender, settings, path, changes={"bounds": "all"})
    assert extents(every.result)[0] > 60
    assert every.result.checks["stray_faces"] == 0


def triangles_of(*shapes: trimesh.Trimesh) -> np.ndarray:
    return np.concatenate([np.asarray(shape.triangles) for shape in shapes])


def test_few_far_faces_are_strays_and_long_parts_are_not() -> None:
    figure = trimesh.creation.icosphere(subdivisions=3)
    far = trimesh.creation.box((0.2, 0.2, 0.2)).apply_translation([0, 300, 0])
    assert find_strays(triangles_of(figure, far)).nonzero()[0].tolist() == list(range(1280, 1292))
    pulled = figure.copy()
    pulled.vertices[40] = [-900, 0, 0]  # one vertex that an exporter lost
    spiked = find_strays(triangles_of(pulled))
    assert 0 < spiked.sum() <= 6
    assert np.abs(triangles_of(pulled)[~spiked]).max() < 2.0
    pole = trimesh.creation.box((0.05, 0.05, 40)).apply_translation([0, 0, -20])
    ground = trimesh.creation.box((500, 500, 0.1))
    pair = trimesh.creation.icosphere(subdivisions=3).apply_translation([80, 0, 0])
    room = trimesh.creation.box((20, 20, 20))
    assert not any(find_strays(triangles_of(figure, other)).any() for other in (pole, ground, pair, room))
    assert not find_strays(triangles_of(trimesh.creation.box((1, 1, 1)), far)).any()  # of so few faces each counts


def growing(asset: Asset, scales: list[float], node: int) -> None:
    """An animation of a node's scale, a second for each step."""
    times = asset.add(np.arange(len(scales), dtype=np.float32))
    values = asset.add(np.repeat(np.array(scales, np.float32)[:, None], 3, axis=1))
    sampler = {"input": times, "output": values, "interpolation": "LINEAR"}
    channel = {"sampler": 0, "target": {"node": node, "path": "scale"}}
    asset.document["animations"] = [{"samplers": [sampler], "channels": [channel]}]


@pytest.mark.parametrize(
    ("scales", "frame", "other", "size"),
    [
        ([0.0, 1.0], 24.0, True, 1.0),
        ([0.0, 1.0, 0.0], 24.0, True, 1.0),
        ([1.0, 0.0], 0.0, False, 1.0),
        ([0.5, 2.0], 0.0, False, 0.5),
        ([0.0, 0.0], 0.0, True, 1.0),
    ],
)
def test_a_first_frame_that_shows_nothing_is_not_taken(
    scales: list[float], frame: float, other: bool, size: float, settings: Any, blender: RenderChild, tmp_path: Path
) -> None:
    """The last one never shows anything: it is seen at rest."""
    asset = Asset()
    growing(asset, scales, asset.node(asset.mesh((*ball(), asset.material(RED)))))
    seen = look(blender, settings, asset.write(tmp_path / "x.glb"))
    checks = seen.result.checks
    assert seen.result.outcome is Outcome.OK
    assert checks["other_frame"] is other
    if scales != [0.0, 0.0]:
        assert checks["frame"] == frame
    assert extents(seen.result) == pytest.approx([size] * 3, abs=0.02)


def test_a_part_that_the_first_frame_lacks_is_shown(settings: Any, blender: RenderChild, tmp_path: Path) -> None:
    asset = Asset()
    asset.node(asset.mesh((*ball(0.2), asset.material(RED))))
    growing(asset, [0.0, 1.0], asset.node(asset.mesh((*box(), asset.material(BLUE)))))
    seen = look(blender, settings, asset.write(tmp_path / "x.glb"))
    assert seen.result.checks["frame"] == 24.0
    assert seen.result.checks["other_frame"] is True
    assert all(is_colour(pixel, BLUE) for pixel in seen.middles)
