"""Backs of single-sided materials are not seen, and what they enclose is lit; closed surfaces are left as they are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from render.blender.surfaces import parts_of
from render.child import RenderChild
from tests.render.assets import ABOVE, ASIDE, BELOW, BLUE, DOWN, GREEN, QUAD, RED, UP, Asset, ball, box, is_colour, look

OUTSIDE = (ABOVE, BELOW, ASIDE)


@pytest.mark.parametrize("hull", ["own mesh", "same mesh", "mirrored node"])
def test_an_outlined_figure_is_not_a_black_ball(hull: str, settings: Any, blender: RenderChild, tmp_path: Path) -> None:
    asset = Asset()
    figure, outline = (*ball(), asset.material(RED)), (*ball(0.6, inside_out=True), asset.material((0, 0, 0)))
    if hull == "same mesh":
        asset.node(asset.mesh(figure, outline))
    else:
        mirror = {"scale": [-1, 1, 1]} if hull == "mirrored node" else {}
        asset.node(asset.mesh(figure), **mirror)
        asset.node(asset.mesh(outline), **mirror)
    seen = look(blender, settings, asset.write(tmp_path / "x.glb"), OUTSIDE)
    assert all(is_colour(pixel, RED) for pixel in seen.middles)
    for rgba in seen.pictures:  # the outline is there, around the figure
        edge = (rgba[..., 3] > 250) & (rgba[..., :3].max(axis=-1) < 60)
        assert 60 < edge.sum() < 500
    assert seen.result.checks["faces"] == 2560
    assert 300 < seen.result.checks["culled_faces"] <= 1280  # faces of the outline


@pytest.mark.parametrize("shape", [ball, box])
def test_a_room_and_a_sky_show_what_they_hold(shape: Any, settings: Any, blender: RenderChild, tmp_path: Path) -> None:
    asset = Asset()
    asset.node(asset.mesh((*ball(0.3), asset.material(RED))))
    asset.node(asset.mesh((*shape(1.2, inside_out=True), asset.material(BLUE))))
    seen = look(blender, settings, asset.write(tmp_path / "x.glb"), OUTSIDE, {"passes": ["depth", "albedo", "mask"]})
    assert all(is_colour(pixel, RED) for pixel in seen.middles)
    assert all(is_colour(rgba[13, 24], BLUE) for rgba in seen.pictures)
    for view, rgba in enumerate(seen.pictures):
        depth = np.load(seen.folder / f"{view:02d}.depth.npy")
        assert depth[24, 24] < depth[13, 24]  # the far wall, not the near one
        assert ((depth > 0) == (rgba[..., 3] > 127)).mean() > 0.97


def test_a_plane_is_seen_from_its_front(settings: Any, blender: RenderChild, tmp_path: Path) -> None:
    for name, more, changes in (
        ("single", {}, {}),
        ("double", {"doubleSided": True}, {}),
        ("shown", {}, {"backfaces": "shown"}),
    ):
        asset = Asset()
        asset.node(asset.mesh((QUAD, UP, asset.material(GREEN, **more))))
        seen = look(blender, settings, asset.write(tmp_path / f"{name}.glb"), changes=changes)
        above, below = seen.middles
        assert is_colour(above, GREEN)
        assert below[3] == 0 if name == "single" else is_colour(below, GREEN)
        assert seen.result.checks["culled_faces"] == (2 if name == "single" else 0)


@pytest.mark.parametrize(("places", "count"), [((ABOVE, ASIDE), 0), ((ABOVE, BELOW), 10)])
def test_backs_count_where_a_view_meets_them_first(
    places: Any, count: int, settings: Any, blender: RenderChild, tmp_path: Path
) -> None:
    """A cup upside down: only from below is it hollow; its five walls of two triangles each are gone."""
    asset = Asset()
    points, triangles = box()
    sides = trimesh.Trimesh(points, triangles, process=False).face_normals[:, 1] > -0.5
    asset.node(asset.mesh((points, triangles[sides], asset.material(RED))))
    seen = look(blender, settings, asset.write(tmp_path / "x.glb"), places)
    assert seen.result.checks["culled_faces"] == count


@pytest.mark.parametrize("scale", [[1, -1, 1], [-1, 1, 1], [1, 1, 1], [-1, -1, -1]])
def test_a_mirrored_plane_shows_its_front_as_glb_viewers_do(
    scale: list[int], settings: Any, blender: RenderChild, tmp_path: Path
) -> None:
    """A negative determinant turns the winding round, so that outside stays outside."""
    asset = Asset()
    asset.node(asset.mesh((QUAD, UP, asset.material(GREEN))), scale=scale)
    above, below = look(blender, settings, asset.write(tmp_path / "x.glb")).middles
    front, back = (above, below) if scale[1] > 0 else (below, above)
    assert is_colour(front, GREEN)
    assert back[3] == 0


def test_primitives_without_a_material_are_single_sided(settings: Any, blender: RenderChild, tmp_path: Path) -> None:
    asset = Asset()
    asset.node(asset.mesh((QUAD, DOWN, -1)))
    above, below = look(blender, settings, asset.write(tmp_path / "x.glb")).middles
    assert (above[3], below[3]) == (0, 255)


def test_sheet_keeps_its_back(settings: Any, blender: RenderChild, tmp_path: Path) -> None:
    asset = Asset()
    asset.node(asset.mesh((QUAD, UP, asset.material(GREEN))))
    path = asset.write(tmp_path / "x.glb")
    for bad, is_gone in (([], True), (["transparent"], False)):
        seen = look(blender, settings, path, changes={"checks": {"bad": bad}})
        assert [view.transparent for view in seen.result.views] == [False, is_gone]
        assert seen.result.checks["culled_faces"] == (2 if is_gone else 0)


def test_parts_know_whether_they_are_closed_and_where_they_face() -> None:
    solid, hull = trimesh.creation.box((1, 1, 1)), trimesh.creation.box((3, 3, 3))
    hull.invert()
    roofless = trimesh.creation.box((1, 1, 1))
    roofless = trimesh.Trimesh(roofless.vertices + 9, roofless.faces[roofless.face_normals[:, 2] < 0.5])
    whole = trimesh.util.concatenate([solid, hull, roofless])
    parts = parts_of(np.asarray(whole.triangles).reshape(-1, 3), np.arange(3 * len(whole.faces)).reshape(-1, 3))
    of = [parts.of_triangle[number] for number in (0, 12, 24)]
    assert [bool(parts.is_closed[part]) for part in of] == [True, False, False]
    assert [bool(parts.is_inward[part]) for part in of] == [False, True, False]
    assert len(set(of)) == len(parts.is_closed) == 3
