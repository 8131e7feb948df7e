from itertools import product

import numpy as np
import pytest

from geometry.camera import Lens, camera_centre, project
from geometry.sphere import BLOCK
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
    rig = settings().rig
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
    lamp = settings().rig.lamps[0].model_copy(update={"aim": "down"})
    (light, _) = draw_lights(settings().rig.model_copy(update={"lamps": (lamp,)}), "van", 0)
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
        assert [light["kind"] for light in draw_lights(settings(light=name).rig, "van", 0)] == kinds
