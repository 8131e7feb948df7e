"""Depth, normals, albedo and mask: exact at the middle of every pixel, and nothing to the picture."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from base.outcomes import Outcome
from base.passes import PASS_FILES, pass_file
from geometry.camera import Lens, camera_centre, ray_directions
from geometry.colour import linear_from_srgb, srgb_from_linear
from render.run import render_views
from shards.passes import decode_pass
from tests.render.models import digests

ALL = sorted(PASS_FILES)
HW = (48, 64)
MATERIALS = {"matt": ([0.8, 0.4, 0.1, 1.0], 0.0), "metal": ([0.9, 0.6, 0.3, 1.0], 1.0)}


def ball(path: Path, material: str) -> Path:
    """A smooth ball of one material."""
    shape = trimesh.creation.icosphere(subdivisions=5)
    colour, metallic = MATERIALS[material]
    surface = trimesh.visual.material.PBRMaterial(baseColorFactor=colour, metallicFactor=metallic, roughnessFactor=0.6)
    shape.visual = trimesh.visual.TextureVisuals(material=surface)
    path.write_bytes(trimesh.Scene(shape).export(file_type="glb", include_normals=True))
    return path


@pytest.fixture(scope="module", params=MATERIALS)
def seen(request, settings, blender, tmp_path_factory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("passes")
    chosen = settings(hw=list(HW), passes=ALL, checks={"bad": []})
    result = render_views(blender, ball(folder / "ball.glb", request.param), "ball", chosen, 1, folder / "out")
    assert (result.outcome, result.reason) == (Outcome.OK, "")
    return request.param, folder / "out"


def layer(folder: Path, view: int, name: str) -> np.ndarray:
    return decode_pass(name, (folder / pass_file(view, name)).read_bytes(), HW)


def test_a_ball_is_where_and_what_it_is(seen, shipped) -> None:
    material, folder = seen
    for view, camera in enumerate(np.load(folder / "extrinsics.npy")):
        rays = ray_directions(Lens(**shipped["lens"]), HW)
        rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
        centre = camera[:, :3] @ -camera_centre(camera)
        along = rays @ centre
        inside = 0.25 - (centre @ centre - along**2)
        hit = inside > 0.0
        mask = layer(folder, view, "mask")
        assert set(np.unique(mask)) <= {0, 255}
        assert ((mask > 0) != hit).mean() < 0.002  # a ball of triangles is a little smaller
        sure = hit & (inside > 0.01)
        points = rays * (along - np.sqrt(np.maximum(inside, 0.0)))[..., None]
        np.testing.assert_allclose(layer(folder, view, "depth")[sure], -points[..., 2][sure], rtol=2e-3)
        normal = 2.0 * (points - centre)
        got = layer(folder, view, "normal_camera").astype(np.float64)
        assert np.degrees(np.arccos(np.clip((got * normal).sum(-1)[sure], -1, 1))).max() < 2.0
        world = layer(folder, view, "normal_world").astype(np.float64)
        np.testing.assert_allclose(world @ camera[:, :3].T, got, atol=2e-3)
        np.testing.assert_allclose(np.linalg.norm(got[sure], axis=-1), 1.0, atol=2e-3)
        facing = hit & (inside > 0.2)
        albedo = linear_from_srgb(layer(folder, view, "albedo")[facing] / 255)
        np.testing.assert_allclose(albedo, np.broadcast_to(MATERIALS[material][0][:3], albedo.shape), atol=0.06)
        for name in ("depth", "normal_camera", "normal_world", "albedo"):
            assert not layer(folder, view, name)[mask == 0].any()


def test_passes_are_reproducible_and_leave_the_picture(settings, blender, tmp_path) -> None:
    path = ball(tmp_path / "ball.glb", "matt")
    for name, wanted in (("with", ALL), ("without", []), ("again", ALL)):
        render_views(blender, path, "ball", settings(passes=wanted), 1, tmp_path / name)
    made, plain = digests(tmp_path / "with"), digests(tmp_path / "without")
    assert {name: made[name] for name in plain if name != "views.json"} == {
        name: digest for name, digest in plain.items() if name != "views.json"
    }
    assert set(made) == set(plain) | {pass_file(view, name) for view in range(2) for name in ALL}
    assert digests(tmp_path / "again") == made


def test_only_what_is_asked_for_is_written(settings, blender, tmp_path) -> None:
    chosen = settings(passes=["mask"])
    render_views(blender, ball(tmp_path / "ball.glb", "matt"), "ball", chosen, 1, tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"00.webp", "01.webp", "00.mask.png", "01.mask.png", "extrinsics.npy", "views.json"}
    with Image.open(tmp_path / "out" / "00.webp") as picture, Image.open(tmp_path / "out" / "00.mask.png") as mask:
        assert np.abs(np.array(picture)[..., 3] / 255 - np.array(mask) / 255).mean() < 0.01


def test_srgb_there_and_back() -> None:
    values = np.linspace(0.0, 1.0, 256)
    np.testing.assert_allclose(linear_from_srgb(srgb_from_linear(values)), values, atol=1e-7)
    assert np.all(np.diff(srgb_from_linear(values)) > 0)
