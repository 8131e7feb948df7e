import re
from itertools import product

import numpy as np
import pytest
import yaml

from base.errors import UsageError
from geometry.camera import Lens, camera_centre, project
from geometry.relative import pose_vector
from geometry.rig import RIGS, rig_names
from geometry.sphere import BLOCK
from render.fingerprint import fingerprint
from render.lights import draw_lights
from render.viewpoints import draw_viewpoints, radius_range


def test_viewpoints_look_at_the_origin_within_radius(settings) -> None:
    cameras = draw_viewpoints(settings(views=30), "van", 0)
    assert cameras.shape == (30, 3, 4)
    assert cameras.dtype == np.float64
    radius = np.linalg.norm(camera_centre(cameras), axis=1)
    assert np.all((radius >= 1.5) & (radius <= 2.2))
    assert np.allclose(cameras[:, :2, 3], 0.0, atol=1e-12)


@pytest.mark.parametrize("sampling", ["sphere", "cube"])
def test_asking_for_more_views_keeps_the_earlier_ones(settings, sampling: str) -> None:
    few, many = (draw_viewpoints(settings(views=views, camera_sampling=sampling), "van", 0) for views in (5, 40))
    assert np.array_equal(few, many[:5])


def test_each_block_of_twelve_covers_the_sphere(settings) -> None:
    heights = camera_centre(draw_viewpoints(settings(views=24), "van", 0))[:, 2]
    directions = heights / np.linalg.norm(camera_centre(draw_viewpoints(settings(views=24), "van", 0)), axis=1)
    for block in (directions[:BLOCK], directions[BLOCK:]):
        assert sorted(np.floor((block + 1) / 2 * BLOCK)) == list(range(BLOCK))


def test_object_and_seed_choose_the_views_and_nothing_else_does(settings) -> None:
    reference = draw_viewpoints(settings(), "van", 0)
    assert np.array_equal(reference, draw_viewpoints(settings(samples=9, light="uniform"), "van", 0))
    assert not np.allclose(reference, draw_viewpoints(settings(), "dog", 0))
    assert not np.allclose(reference, draw_viewpoints(settings(), "van", 1))


def test_lights_are_drawn_from_the_rig_by_object_and_seed(settings) -> None:
    rig = settings().chosen_lights
    drawn = draw_lights(rig, "van", 0)
    assert drawn == draw_lights(rig, "van", 0)
    assert drawn != draw_lights(rig, "dog", 0)
    assert [light["kind"] for light in drawn] == ["area", "area", "world"]
    for light, lamp in zip(drawn, rig.lamps, strict=False):
        for value, bounds in zip(light["position"], (lamp.x, lamp.y, lamp.z), strict=True):
            assert bounds[0] <= value <= bounds[1]
        assert lamp.strength[0] <= light["strength"] <= lamp.strength[1]
    assert len({tuple(light) for light in drawn}) == 1  # the same keys in each


def test_a_lamp_aimed_down_looks_straight_down(settings) -> None:
    lamp = settings().chosen_lights.lamps[0].model_copy(update={"aim": "down"})
    (light, _) = draw_lights(settings().chosen_lights.model_copy(update={"lamps": (lamp,)}), "van", 0)
    x, y, z = light["position"]
    assert light["target"] == [x, y, z - 1.0]


@pytest.mark.parametrize("hw", [(64, 64), (48, 96), (96, 48)])
def test_whole_framing_shows_every_corner_of_the_unit_box(settings, hw: tuple[int, int]) -> None:
    chosen = settings(framing="whole", hw=list(hw), views=24)
    lens = Lens(**chosen.lens.model_dump())
    corners = np.array(list(product([-0.5, 0.5], repeat=3)))
    seen = np.stack([project(corners, camera, lens, hw) for camera in draw_viewpoints(chosen, "van", 0)])
    assert (seen >= 1.0).all()
    assert (seen <= np.array(hw[::-1]) - 1.0).all()
    near, far = radius_range(chosen)
    assert far / near == pytest.approx(2.2 / 1.5)
    # As near as may be: the outline of the sphere around the box comes within the margin of the border.
    nearest = np.concatenate([np.eye(3), [[0.0], [0.0], [-near]]], axis=1)
    outline = [(0.75 - (0.75 / near) ** 2) ** 0.5, 0.0, 0.75 / near]
    reach = project([outline], nearest, lens, hw)[0, 0] - hw[1] / 2
    assert reach == pytest.approx(min(hw) / 2 - 2.0)
    assert radius_range(settings(hw=list(hw))) == (1.5, 2.2)


def test_the_lights_that_ship(settings) -> None:
    for name, kinds in {
        "area": ["area", "area", "world"],
        "studio": ["sun"] * 4 + ["world"],
        "uniform": ["world"],
    }.items():
        assert [light["kind"] for light in draw_lights(settings(light=name).chosen_lights, "van", 0)] == kinds


def of_rig(settings, name: str, **changes):
    """The settings for a rig, its views and lens taken from its file."""
    rig = yaml.safe_load((RIGS / f"{name}.yaml").read_text())
    fov = np.deg2rad(rig.get("fov_deg", 49.13434))
    lens = {"focal_mm": 16.0 / np.tan(fov / 2.0), "sensor_mm": 32.0}
    made = {"rig": name, "camera_sampling": "rig", "views": len(rig["cameras"]), "lens": lens}
    return settings(**made | changes)


@pytest.mark.parametrize("name", rig_names())
def test_every_shipped_rig_serves_to_render(settings, name: str) -> None:
    chosen = of_rig(settings, name)
    cameras = draw_viewpoints(chosen, "van", 0)
    assert cameras.shape == (chosen.views, 3, 4)
    assert np.allclose(cameras[:, :2, 3], 0.0, atol=1e-12)
    again = settings(**chosen.model_dump(mode="json"))
    # What a worker is given has the cameras, not the file's name.
    assert np.array_equal(cameras, draw_viewpoints(again, "van", 0))


def test_a_rigs_cameras_are_where_its_file_says(settings) -> None:
    """Zero123++'s turns, 60° apart around the object, at heights of 20° and −10° in turn."""
    cameras = draw_viewpoints(of_rig(settings, "zero123plus"), "van", 0)
    centres = camera_centre(cameras)
    radius = np.linalg.norm(centres, axis=1)
    assert np.rad2deg(np.arcsin(centres[:, 2] / radius)) == pytest.approx([20.0, -10.0] * 3)
    turns = pose_vector(cameras[:-1], cameras[1:])
    assert np.rad2deg(np.arctan2(turns[:, 1], turns[:, 2])) == pytest.approx([60.0] * 5)
    assert radius == pytest.approx([3.1563] * 6)


def test_a_rigs_draws_depend_on_object_and_seed(settings) -> None:
    chosen = of_rig(settings, "gradio")
    first, other = (draw_viewpoints(chosen, uid, 0) for uid in ("van", "dog"))
    same = [np.allclose(*pair) for pair in zip(first, other, strict=True)]
    assert same == [True, True, True, False, True, True]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"views": 12}, "views of 6, as many as the rig has cameras"),
        ({"framing": "whole"}, "framing radius with a rig"),
        ({"lens": {"focal_mm": 35.0, "sensor_mm": 32.0}}, "the lens of the rig's cameras, {focal_mm: 59.7128"),
        ({"camera_sampling": "sphere"}, "a rig with camera_sampling rig"),
        ({"rig": None}, "a rig with camera_sampling rig"),
        ({"rig": "zero"}, "render.rig: expected gradio, orbit"),
    ],
)
def test_settings_that_contradict_a_rig_are_told(settings, changes, told: str) -> None:
    with pytest.raises(UsageError, match=re.escape(told)):
        of_rig(settings, "zero123plus", **changes)


def test_a_rig_changes_the_fingerprint_and_its_name_does_not(settings, tmp_path) -> None:
    copy = tmp_path / "mine.yaml"
    copy.write_text((RIGS / "orbit.yaml").read_text())
    digests = [
        fingerprint("0" * 64, one, "x", 0)
        for one in (
            of_rig(settings, "orbit"),
            of_rig(settings, "orbit", rig=str(copy)),
            settings(views=24),
            of_rig(settings, "orbit", rig={"cameras": [{"polar_deg": 9.0, "azimuth_deg": 0.0, "radius": 2.0}] * 24}),
        )
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
