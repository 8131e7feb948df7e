"""Faces in one place: each side shows the face that is its own, whoever made them coincide."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from render.blender.overlap import Polygons, overlapping_polygons, part_polygons
from render.child import RenderChild
from tests.render.assets import BLUE, DOWN, GREEN, QUAD, RED, UP, Asset, box, is_colour, look

QUARTER_TURN = {"rotation": [0.0, np.sqrt(0.5), 0.0, np.sqrt(0.5)]}
REVERSED = ([3, 2, 1], [3, 1, 0])
"""The square from below, cut along its other diagonal."""


def one_mesh(asset: Asset, up: int, down: int) -> None:
    asset.node(asset.mesh((QUAD, UP, up), (QUAD, DOWN, down)))


def two_nodes(asset: Asset, up: int, down: int) -> None:
    asset.node(asset.mesh((QUAD, UP, up)))
    asset.node(asset.mesh((QUAD[[2, 3, 0, 1]], DOWN, down)))


def other_diagonal(asset: Asset, up: int, down: int) -> None:
    asset.node(asset.mesh((QUAD, UP, up)))
    asset.node(asset.mesh((QUAD, REVERSED, down)))


def turned(asset: Asset, up: int, down: int) -> None:
    asset.node(asset.mesh((QUAD, UP, up)))
    asset.node(asset.mesh((QUAD, DOWN, down)), **QUARTER_TURN)


def smaller(asset: Asset, up: int, down: int) -> None:
    asset.node(asset.mesh((QUAD, UP, up)))
    asset.node(asset.mesh((QUAD * 0.7, DOWN, down)), translation=[0.02, 0.0, 0.01])


def mirrored(asset: Asset, up: int, down: int) -> None:
    """The same mesh upside down: its determinant is negative, and its front is below."""
    asset.node(asset.mesh((QUAD, UP, up)))
    asset.node(asset.mesh((QUAD, UP, down)), scale=[1.0, -1.0, 1.0])


def nested(asset: Asset, up: int, down: int) -> None:
    """Equal but for the rounding of two ways there."""
    inner = asset.node(asset.mesh((QUAD / 3, UP, up)), translation=[0.1, 0.2, 0.3], scale=[3.0, 3.0, 3.0])
    other = asset.node(asset.mesh((QUAD / 7, DOWN, down)), translation=[0.3, 0.5, 0.7], scale=[7.0, 7.0, 7.0])
    asset.node(children=[inner], translation=[0.2, 0.3, 0.4])
    asset.node(children=[other])


@pytest.mark.parametrize("build", [one_mesh, two_nodes, other_diagonal, turned, smaller, mirrored, nested])
@pytest.mark.parametrize("is_double", [False, True])
def test_each_side_has_its_own_colour(
    build: Any, is_double: bool, settings: Any, blender: RenderChild, tmp_path: Path
) -> None:
    asset = Asset()
    build(asset, *(asset.material(colour, doubleSided=is_double) for colour in (RED, BLUE)))
    seen = look(blender, settings, asset.write(tmp_path / "x.glb"))
    above, below = seen.middles
    assert is_colour(above, RED, within=12)
    assert is_colour(below, BLUE, within=12)
    assert seen.result.checks["merged_faces"] > 0


@pytest.mark.parametrize("turn", [{}, QUARTER_TURN, {"scale": [-1, 1, 1]}])
def test_of_what_faces_the_same_way_the_last_is_seen(
    turn: dict[str, Any], settings: Any, blender: RenderChild, tmp_path: Path
) -> None:
    asset = Asset()
    asset.node(asset.mesh((*box(), asset.material(RED))))
    asset.node(asset.mesh((*box(), asset.material(GREEN))), **turn)
    seen = look(blender, settings, asset.write(tmp_path / "x.glb"))
    assert all(is_colour(pixel, GREEN, within=12) for pixel in seen.middles)


def test_one_mesh_many_times_in_place(settings: Any, blender: RenderChild, tmp_path: Path) -> None:
    asset = Asset()
    mesh = asset.mesh((*box(), asset.material(RED)))
    for _ in range(5):
        asset.node(mesh)
    seen = look(blender, settings, asset.write(tmp_path / "x.glb"))
    assert all(is_colour(pixel, RED, within=12) for pixel in seen.middles)
    assert seen.result.checks["merged_faces"] == 4 * 12


def test_a_glued_on_picture_covers_what_it_hides_alone(settings: Any, blender: RenderChild, tmp_path: Path) -> None:
    asset = Asset()
    asset.node(asset.mesh((QUAD, UP, asset.material(RED))))
    asset.node(asset.mesh((QUAD, UP, asset.material(BLUE, alpha=0.5, alphaMode="BLEND"))))
    (above, _) = look(blender, settings, asset.write(tmp_path / "x.glb")).middles
    assert is_colour(above, (0.4, 0.0, 0.4), within=16)


def test_a_flattened_box_has_two_sides(settings: Any, blender: RenderChild, tmp_path: Path) -> None:
    asset = Asset()
    points, triangles = box()
    normals = trimesh.Trimesh(points, triangles, process=False).face_normals
    top = normals[:, 1] > 0.5
    asset.node(
        asset.mesh((points, triangles[top], asset.material(RED)), (points, triangles[~top], asset.material(BLUE))),
        scale=[1, 0, 1],
    )
    above, below = look(blender, settings, asset.write(tmp_path / "x.glb")).middles
    assert is_colour(above, RED)
    assert is_colour(below, BLUE)


def test_four_sided_faces_of_an_obj(settings: Any, blender: RenderChild, tmp_path: Path) -> None:
    (tmp_path / "x.mtl").write_text("newmtl a\nKd 0.8 0 0\nKs 0 0 0\nnewmtl b\nKd 0 0 0.8\nKs 0 0 0\n")
    lines = "v -1 0 -1\nv -1 0 1\nv 1 0 1\nv 1 0 -1\nusemtl a\nf 1 2 3 4\nusemtl b\nf 2 1 4 3\n"
    (tmp_path / "x.obj").write_text("mtllib x.mtl\n" + lines)
    above, below = look(blender, settings, tmp_path / "x.obj").middles
    assert is_colour(above, RED, within=40)
    assert is_colour(below, BLUE, within=40)


def test_a_posed_figure_with_a_lining(settings: Any, blender: RenderChild, tmp_path: Path) -> None:
    """A morph target moves both layers to where they are seen."""
    asset = Asset()
    layers = asset.mesh((QUAD, UP, asset.material(RED)), (QUAD, DOWN, asset.material(BLUE)))
    moved = asset.add(np.tile(np.array([[0, 0.5, 0]], np.float32), (4, 1)))
    for primitive in asset.document["meshes"][layers]["primitives"]:
        primitive["targets"] = [{"POSITION": moved}]
    asset.document["meshes"][layers]["weights"] = [1.0]
    asset.node(layers)
    above, below = look(blender, settings, asset.write(tmp_path / "x.glb")).middles
    assert is_colour(above, RED)
    assert is_colour(below, BLUE)


def test_kept_faces_are_left_where_they_are(settings: Any, blender: RenderChild, tmp_path: Path) -> None:
    asset = Asset()
    one_mesh(asset, asset.material(RED), asset.material(BLUE))
    seen = look(blender, settings, asset.write(tmp_path / "x.glb"), changes={"coincident_faces": "kept"})
    assert seen.result.checks["merged_faces"] == 0


def polygons(triangles: np.ndarray) -> Polygons:
    count = len(triangles)
    numbers = np.arange(count)
    flags = np.ones(count, bool)
    return Polygons(triangles.reshape(-1, 3), 3 * numbers, triangles, numbers, flags, ~flags)


def test_neighbours_in_a_plane_do_not_coincide() -> None:
    """A grid of squares, a ball and a box, each once: nothing is touched."""
    x, y = np.meshgrid(np.linspace(-0.5, 0.5, 40), np.linspace(-0.5, 0.5, 40))
    corners = np.stack([x, y, 0 * x], axis=-1)
    squares = np.stack([corners[:-1, :-1], corners[:-1, 1:], corners[1:, 1:], corners[1:, :-1]], axis=2).reshape(
        -1, 4, 3
    )
    for triangles in (
        np.concatenate([squares[:, [0, 1, 2]], squares[:, [0, 2, 3]]]),
        np.asarray(trimesh.creation.uv_sphere(0.5, count=[64, 64]).triangles),
        np.asarray(trimesh.creation.box((1, 1, 1)).subdivide().subdivide().triangles),
    ):
        parting = part_polygons(polygons(triangles))
        assert not parting.removed.any()
        assert not parting.level.any()


def test_overlaps_are_those_that_a_slow_search_finds() -> None:
    """Random triangles in three planes; the reference looks for a point inside both, of many."""
    rng = np.random.default_rng(5)
    flat = rng.uniform(-0.5, 0.5, (60, 3, 3))
    flat[..., 2] = np.repeat([0.1, 0.1, 0.25], 20)[:, None]
    found = {tuple(pair) for pair in overlapping_polygons(polygons(flat)).tolist()}
    points = np.stack(np.meshgrid(*[np.linspace(-0.5, 0.5, 300)] * 2), axis=-1).reshape(-1, 2)
    edges = np.roll(flat, -1, axis=1)[..., :2] - flat[..., :2]
    away = points[:, None, None] - flat[None, ..., :2]
    side = edges[..., 0] * away[..., 1] - edges[..., 1] * away[..., 0]
    inside = (side > 0).all(axis=2) | (side < 0).all(axis=2)
    share = inside.T.astype(np.float32) @ inside.astype(np.float32)
    sure = {(a, b) for a in range(60) for b in range(a) if share[a, b] > 0 and flat[a, 0, 2] == flat[b, 0, 2]}
    assert {(b, a) for a, b in sure} <= found
    assert len(found) - len(sure) <= 0.02 * len(sure)  # what is smaller than the grid sees
