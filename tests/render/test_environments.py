"""Light from maps that the user gives: drawn by object and seed, recorded, and from the right side."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image

from base.errors import UsageError
from base.outcomes import Outcome
from geometry.camera import Lens, camera_centre, ray_directions
from render.child import RenderChild
from render.environments import MAX_BYTES, environment_maps
from render.fingerprint import fingerprint
from render.lights import draw_lights
from render.run import render_views

HW = (8, 16)


def hdr(path: Path, radiance: np.ndarray) -> Path:
    """A Radiance picture (H, W) of grey values, uncompressed."""
    mantissa, exponent = np.frexp(np.maximum(radiance, 1e-9))
    byte = (mantissa * 256.0).astype(np.uint8)[..., None]
    data = np.concatenate([byte, byte, byte, (exponent[..., None] + 128).astype(np.uint8)], axis=-1)
    height, width = radiance.shape
    path.write_bytes(f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {height} +X {width}\n".encode() + data.tobytes())
    return path


def one_sided() -> np.ndarray:
    """Bright around the middle column, at the horizon, and dark elsewhere."""
    radiance = np.full(HW, 0.02)
    radiance[3:5, 7:9] = 60.0
    return radiance


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    (tmp_path / "maps").mkdir()
    hdr(tmp_path / "maps" / "bright.hdr", one_sided())
    hdr(tmp_path / "maps" / "even.hdr", np.ones(HW))
    return tmp_path / "maps"


def rig(settings: Any, maps: Path, **changes: Any) -> Any:
    lamps = {"given": {"lamps": [], "world": 1.0, "maps": str(maps)}}
    return settings(light="given", lights=lamps, **changes)


def test_object_and_seed_choose_map_and_turn(settings: Any, maps: Path) -> None:
    chosen = rig(settings, maps).chosen_lights
    drawn = [draw_lights(chosen, f"object {number}", 0)[-1] for number in range(20)]
    assert drawn == [draw_lights(chosen, f"object {number}", 0)[-1] for number in range(20)]
    assert {light["map"] for light in drawn} == {"bright.hdr", "even.hdr"}
    assert {light["map_sha256"] for light in drawn} == {one.sha256 for one in environment_maps(str(maps))}
    assert len({light["rotation_rad"] for light in drawn}) == 20
    assert all(0.0 <= light["rotation_rad"] < 2 * np.pi for light in drawn)
    assert draw_lights(chosen, "object 1", 1)[-1] != drawn[1]
    assert draw_lights(settings().chosen_lights, "van", 0)[-1].keys() == drawn[0].keys()


def test_what_the_maps_hold_counts_and_not_where_they_lie(settings: Any, maps: Path, tmp_path: Path) -> None:
    def mark(folder: Path) -> str:
        environment_maps.cache_clear()
        return fingerprint("0" * 64, rig(settings, folder), "4.5", 0)

    before = mark(maps)
    moved = maps.rename(tmp_path / "moved")
    assert mark(moved) == before
    hdr(moved / "even.hdr", np.full(HW, 2.0))
    assert mark(moved) != before


def test_a_folder_that_cannot_be_used_is_a_usage_error(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / "a.hdr").write_text("no picture")
    (tmp_path / "huge").mkdir()
    with (tmp_path / "huge" / "a.exr").open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    for name, sentence in (
        ("none", "expected a folder of environment maps"),
        ("empty", r"expected \.hdr or \.exr files in .*empty, got nothing"),
        ("wrong", "expected an environment map, got something that starts with b'no picture'"),
        ("huge", "expected an environment map of at most"),
    ):
        with pytest.raises(UsageError, match=sentence):
            draw_lights(rig(settings, tmp_path / name).chosen_lights, "van", 0)


def ball(folder: Path) -> Path:
    sphere = trimesh.creation.icosphere(subdivisions=3)
    (folder / "ball.glb").write_bytes(sphere.export(file_type="glb"))
    return folder / "ball.glb"


QUICK = {
    "hw": [48, 48],
    "samples": 32,
    "denoise": {"enabled": False},
    "bounces": {"total": 0, "diffuse": 0, "glossy": 0, "transmission": 0, "transparent": 0},
}


def test_the_light_comes_from_where_the_record_says(
    settings: Any, maps: Path, blender: RenderChild, tmp_path: Path
) -> None:
    """On a ball the brightest way is that towards the light; the map's middle lies at +x before it is turned."""
    (maps / "even.hdr").unlink()
    environment_maps.cache_clear()
    chosen = rig(settings, maps, **QUICK, views=12)
    for uid in ("ball", "another"):
        result = render_views(blender, ball(tmp_path), uid, chosen, 0, tmp_path / uid)
        assert result.outcome is Outcome.OK, result.reason
        facts = json.loads((tmp_path / uid / "views.json").read_text())
        (world,) = facts["lights"]
        assert world["map"] == "bright.hdr"
        found = np.zeros(3)
        for number, camera in enumerate(np.load(tmp_path / uid / "extrinsics.npy")):
            with Image.open(tmp_path / uid / f"{number:02d}.webp") as picture:
                pixels = np.array(picture).astype(float)
            found += brightest_way(pixels, camera, Lens(**facts["lens"]))
        expected = np.array([np.cos(world["rotation_rad"]), np.sin(world["rotation_rad"]), 0.0])
        assert found @ expected / np.linalg.norm(found) > 0.9


def brightest_way(pixels: np.ndarray, camera: np.ndarray, lens: Lens) -> np.ndarray:
    """The sum of the ball's normals, each by how much brighter than the average its pixel is."""
    rays = ray_directions(lens, pixels.shape[:2]).reshape(-1, 3) @ camera[:, :3]
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    centre = camera_centre(camera)
    along = -(rays @ centre)
    inside = along**2 - centre @ centre + 0.25
    hit = inside > 0.0
    normals = 2.0 * (centre + (along - np.sqrt(np.maximum(inside, 0.0)))[:, None] * rays)[hit]
    light = pixels[..., :3].mean(axis=-1).reshape(-1)[hit]
    return np.asarray(((light - light.mean())[:, None] * (normals - normals.mean(axis=0))).sum(axis=0))


def test_an_even_map_is_the_uniform_light(settings: Any, maps: Path, blender: RenderChild, tmp_path: Path) -> None:
    (maps / "bright.hdr").unlink()
    environment_maps.cache_clear()
    pictures = []
    for name, chosen in (("map", rig(settings, maps, **QUICK)), ("uniform", settings(light="uniform", **QUICK))):
        assert render_views(blender, ball(tmp_path), "ball", chosen, 0, tmp_path / name).outcome is Outcome.OK
        with Image.open(tmp_path / name / "00.webp") as picture:
            pictures.append(np.array(picture).astype(float))
    assert np.abs(pictures[0] - pictures[1]).mean() < 1.0
