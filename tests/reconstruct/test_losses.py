"""The losses beside the score, against slow loops and answers worked out by hand."""

import math

import numpy as np
import pytest
import torch

from base.progress import SILENT
from geometry.camera import camera_centre
from reconstruct import losses
from reconstruct.optimise import optimise_field, prepare_input_view
from reconstruct.settings import StageSettings
from reconstruct.viewpoints import draw_viewpoints, near_cameras
from tests.reconstruct.scenes import TrueViews, small_settings, sphere_rgba


def draws(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def test_emptiness_is_the_mean_of_logarithms() -> None:
    weights = draws(3, 5)
    slow = sum(math.log(1.0 + 10.0 * float(w)) for w in weights.reshape(-1)) / 15
    assert float(losses.emptiness(weights, 10.0)) == pytest.approx(slow)


def test_indecision_is_greatest_at_one_half() -> None:
    assert float(losses.indecision(torch.tensor([0.0, 1.0]))) == 0.0
    assert float(losses.indecision(torch.tensor([0.5]))) == 1.0
    alpha = draws(7)
    slow = sum(4.0 * float(a) * (1.0 - float(a)) for a in alpha) / 7
    assert float(losses.indecision(alpha)) == pytest.approx(slow)


def test_a_decoded_view_is_compared_on_white() -> None:
    decoded, rgba = draws(3, 2, 4), draws(2, 4, 4)
    squares = [
        (float(decoded[k, y, x]) - float(rgba[y, x, k] * rgba[y, x, 3] + 1.0 - rgba[y, x, 3])) ** 2
        for k in range(3)
        for y in range(2)
        for x in range(4)
    ]
    assert float(losses.decoded_view(decoded, rgba)) == pytest.approx(np.mean(squares))


def test_smoothness_counts_each_pair_of_neighbours() -> None:
    image = draws(2, 4, 3)
    across = [abs(float(image[b, y, x + 1] - image[b, y, x])) for b in range(2) for y in range(4) for x in range(2)]
    down = [abs(float(image[b, y + 1, x] - image[b, y, x])) for b in range(2) for y in range(3) for x in range(3)]
    assert float(losses.image_smoothness(image)) == pytest.approx((np.mean(across) + np.mean(down)) / 2.0)
    grid = draws(1, 1, 3, 3, 3)
    values = grid[0, 0].numpy()
    squares = []
    for step in np.eye(3, dtype=int):
        pairs = [(k, tuple(np.add(k, step))) for k in np.ndindex(3, 3, 3) if max(np.add(k, step)) < 3]
        squares.append(np.mean([(values[a] - values[b]) ** 2 for a, b in pairs]))
    assert float(losses.grid_smoothness(grid)) == pytest.approx(np.mean(squares))


def test_the_change_to_a_near_view_is_that_of_colour_and_depth() -> None:
    picture, near = draws(2, 3, 4, 4), draws(2, 3, 4, 5)[..., :4]
    depth, near_depth = draws(2, 4, 4), draws(2, 4, 6)[..., :4]
    colour = [abs(float(picture[k] - near[k])) for k in np.ndindex(2, 3, 4, 4)]
    away = [abs(float(depth[k] - near_depth[k])) for k in np.ndindex(2, 4, 4)]
    got = float(losses.near_view_change(picture, near, depth, near_depth))
    assert got == pytest.approx(np.mean(colour) + np.mean(away))


def test_near_cameras_are_near_and_look_at_the_object() -> None:
    cameras = draw_viewpoints(0, 5, (1.8, 2.2))
    near = near_cameras(cameras, 0.05, torch.Generator().manual_seed(0))
    np.testing.assert_allclose(np.linalg.norm(camera_centre(near) - camera_centre(cameras), axis=1), 0.05)
    middle = near[:, :, 3]  # the origin in each camera's axes
    np.testing.assert_allclose(middle[:, :2], 0.0, atol=1e-9)
    assert (middle[:, 2] < -1.7).all()


def test_a_weight_on_near_views_changes_the_field() -> None:
    settings = small_settings().model_copy(update={"stages": (StageSettings(resolution=8, steps=2),)})
    near = settings.model_copy(update={"weights": settings.weights.model_copy(update={"near_view": 1.0})})
    cameras = draw_viewpoints(3, 4, (1.5, 2.2))
    images = [sphere_rgba(camera, (24, 24)) for camera in cameras]
    view = prepare_input_view(images[0], cameras[0], settings)
    fields = [optimise_field(view, cameras, TrueViews(images), s, seed=5, progress=SILENT) for s in (settings, near)]
    assert not torch.equal(fields[0].density, fields[1].density)
