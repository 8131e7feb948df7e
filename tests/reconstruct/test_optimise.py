"""A sphere grows back from pictures of itself, without a model; and one picture alone does not suffice."""

import numpy as np
import pytest
import torch

from base.errors import Failure
from base.progress import SILENT
from evaluation.shape import mesh_against_views
from geometry.camera import PAPER_LENS
from reconstruct.mesh import extract
from reconstruct.optimise import FieldRun, optimise_field, prepare_input_view
from reconstruct.settings import StageSettings
from reconstruct.viewpoints import draw_cube_viewpoints, draw_viewpoints
from tests.reconstruct.scenes import TrueViews, small_settings, sphere_rgba

HW = (32, 32)


def test_a_sphere_from_its_own_renders() -> None:
    settings = small_settings()
    cameras = draw_viewpoints(3, 12, (1.5, 2.2))
    images = [sphere_rgba(camera, HW) for camera in cameras]
    view = prepare_input_view(images[0], cameras[0], settings)
    known = optimise_field(view, cameras[1:], TrueViews(images[1:]), settings, seed=0, progress=SILENT)
    alone = optimise_field(view, cameras[1:], None, settings, seed=0, progress=SILENT)
    meshes = [extract(field, settings.mesh).mesh for field in (known, alone)]
    with_score, without = (
        [v.iou for v in mesh_against_views(mesh, images, cameras, PAPER_LENS, range(12))] for mesh in meshes
    )
    assert with_score[0] > 0.9
    assert without[0] > 0.9
    assert np.mean(with_score[1:]) > 0.85
    assert np.mean(with_score[1:]) > np.mean(without[1:]) + 0.1


def test_the_same_seed_gives_the_same_field() -> None:
    settings = small_settings()
    cameras = draw_viewpoints(3, 4, (1.5, 2.2))
    images = [sphere_rgba(camera, HW) for camera in cameras]
    short = settings.model_copy(
        update={"stages": (StageSettings(resolution=8, steps=4), StageSettings(resolution=12, steps=2))}
    )
    view = prepare_input_view(images[0], cameras[0], short)
    first, second = (optimise_field(view, cameras, TrueViews(images), short, seed=5, progress=SILENT) for _ in range(2))
    assert torch.equal(first.density, second.density)
    assert torch.isfinite(first.density).all()


def test_viewpoints_cover_the_sphere_and_extend() -> None:
    few, many = draw_viewpoints(1, 12, (1.5, 2.2)), draw_viewpoints(1, 20, (1.5, 2.2))
    np.testing.assert_array_equal(few, many[:12])
    centres = -np.einsum("nji,nj->ni", many[:, :, :3], many[:, :, 3])
    radii = np.linalg.norm(centres, axis=1)
    assert ((radii >= 1.5) & (radii <= 2.2)).all()
    assert (centres[:12, 2] > 0).sum() == 6


def test_the_originals_cameras_crowd_the_diagonals_and_are_not_from_far_below() -> None:
    few, many = (draw_cube_viewpoints(1, count, (1.8, 2.2)) for count in (20, 2000))
    np.testing.assert_array_equal(few, many[:20])
    centres = -np.einsum("nji,nj->ni", many[:, :, :3], many[:, :, 3])
    radii = np.linalg.norm(centres, axis=1)
    assert ((radii >= 1.8) & (radii <= 2.2)).all()
    directions = np.abs(centres / radii[:, None])
    assert (centres[:, 2] > -0.5 * radii).all()
    # Caps of the same size: 3.6 times as dense about a diagonal as about an axis.
    diagonal = (directions @ np.full(3, 3.0**-0.5) > 0.95).sum() / 6.0  # two of the eight are below
    axis = (directions > 0.95).sum() / 5.0
    assert diagonal > 1.8 * axis


def test_depths_are_smoothed_from_the_named_part_on() -> None:
    settings = small_settings()
    cameras = draw_viewpoints(3, 4, (1.5, 2.2))
    images = [sphere_rgba(camera, HW) for camera in cameras]
    view = prepare_input_view(images[0], cameras[0], settings)

    def first_steps(**weights: float) -> torch.Tensor:
        chosen = settings.weights.model_copy(update=weights)
        run = FieldRun(view, cameras, TrueViews(images), settings.model_copy(update={"weights": chosen}), seed=5)
        run.step()
        run.step()
        return run.field.density.detach()

    without = first_steps()
    assert torch.equal(first_steps(depth_smooth=1.0, depth_smooth_from=0.5), without)
    assert not torch.equal(first_steps(depth_smooth=1.0, depth_smooth_from=0.0), without)


def test_a_view_without_an_object_says_so() -> None:
    with pytest.raises(Failure, match="transparent everywhere"):
        prepare_input_view(np.zeros((*HW, 4), np.uint8), draw_viewpoints(0, 1, (1.5, 2.2))[0], small_settings())
    with pytest.raises(Failure, match="expected a square input view"):
        prepare_input_view(np.ones((8, 9, 4), np.uint8), draw_viewpoints(0, 1, (1.5, 2.2))[0], small_settings())
