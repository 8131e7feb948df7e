"""A surface from partly wrong views: a wrong silhouette is outvoted, the photo's never."""

import numpy as np
import pytest

from base.errors import Failure
from evaluation.metrics import silhouette_iou
from geometry.camera import PAPER_LENS, look_at_origin
from reconstruct.finish import Photo
from reconstruct.hull import hull_distance
from reconstruct.sampled import fill_silhouette, fit_sampled_views
from reconstruct.settings import ReconstructSettings
from reconstruct.silhouette import silhouette
from reconstruct.simplify import surface_mesh
from reconstruct.viewpoints import draw_viewpoints
from tests.reconstruct.scenes import RADIUS, small_settings, sphere_alpha, sphere_rgba

HW = (48, 48)
CAMERA = look_at_origin([1.8, 0.0, 0.3])


def outvoting(count: int) -> ReconstructSettings:
    settings = small_settings()
    return settings.model_copy(update={"views": settings.views.model_copy(update={"outvoted": count})})


def ball_views(cameras: np.ndarray, radii: list[float]) -> np.ndarray:
    alphas = [sphere_alpha(camera, HW, radius) for camera, radius in zip(cameras, radii, strict=True)]
    return np.stack([np.repeat(alpha[..., None], 4, axis=-1) for alpha in alphas]).astype(np.float32)


def radius_of(distance: np.ndarray, half_extent: float) -> float:
    """The radius of a ball with as much volume as the negative cells."""
    volume = (distance < 0.0).sum() * (2.0 * half_extent / distance.shape[0]) ** 3
    return float((volume * 3.0 / (4.0 * np.pi)) ** (1.0 / 3.0))


def test_two_wrong_views_are_outvoted() -> None:
    cameras = draw_viewpoints(0, 24, (1.6, 2.0))
    views = ball_views(cameras, [0.12, 0.2] + [RADIUS] * 22)
    photo = Photo(sphere_rgba(CAMERA, HW), CAMERA, PAPER_LENS)
    voted = fit_sampled_views(photo, views, cameras, outvoting(2))
    # Without a vote only the photo's silhouette would be filled, and thinly.
    strict = hull_distance(views[..., 3], cameras, PAPER_LENS, voted.distance.shape[0], voted.half_extent)
    assert radius_of(strict, voted.half_extent) < 0.26
    assert abs(radius_of(voted.distance, voted.half_extent) - RADIUS) < 0.025


def test_the_photo_is_never_outvoted() -> None:
    cameras = draw_viewpoints(0, 12, (1.6, 2.0))
    rgba = sphere_rgba(CAMERA, HW)
    rgba[:24] = 0  # its upper half is empty
    field = fit_sampled_views(
        Photo(rgba, CAMERA, PAPER_LENS), ball_views(cameras, [RADIUS] * 12), cameras, outvoting(2)
    )
    upper = np.linspace(-1.0, 1.0, field.distance.shape[2]) * field.half_extent > 0.1
    assert not (field.distance[:, :, upper] < 0.0).any()
    assert (field.distance < 0.0).any()


def test_surface_fills_the_photo_silhouette_although_the_views_are_too_small() -> None:
    cameras = draw_viewpoints(0, 12, (1.6, 2.0))
    photo = Photo(sphere_rgba(CAMERA, HW), CAMERA, PAPER_LENS)
    field = fit_sampled_views(photo, ball_views(cameras, [0.6 * RADIUS] * 12), cameras, outvoting(2))
    seen = silhouette(surface_mesh(field, 20_000), CAMERA, PAPER_LENS, HW)
    assert silhouette_iou(seen, photo.rgba[..., 3] > 127) > 0.9
    # Not by a thick body: elsewhere the views decide.
    assert radius_of(field.distance, field.half_extent) < 0.85 * RADIUS


def test_nothing_is_filled_where_views_and_photo_agree() -> None:
    cameras = draw_viewpoints(0, 24, (1.6, 2.0))
    photo = Photo(sphere_rgba(CAMERA, HW), CAMERA, PAPER_LENS)
    voted = hull_distance(ball_views(cameras, [RADIUS] * 24)[..., 3], cameras, PAPER_LENS, 32, 0.52)
    filled = fill_silhouette(voted, photo, 0.52)
    changed = (filled < 0.0) & (voted >= 0.0)
    assert changed.sum() < 0.03 * (voted < 0.0).sum()


def test_ranks_are_those_of_a_sort() -> None:
    cameras = draw_viewpoints(1, 6, (1.6, 2.0))
    alphas = ball_views(cameras, [0.2, 0.25, 0.3, 0.35, 0.4, 0.3])[..., 3]
    each = np.stack(
        [hull_distance(a[None], c[None], PAPER_LENS, 12, 0.52) for a, c in zip(alphas, cameras, strict=True)]
    )
    for outvoted in range(3):
        ranked = hull_distance(alphas, cameras, PAPER_LENS, 12, 0.52, outvoted)
        np.testing.assert_array_equal(ranked, np.sort(each, axis=0)[-1 - outvoted])


def test_views_without_a_common_volume_are_a_clear_failure() -> None:
    cameras = draw_viewpoints(0, 6, (1.6, 2.0))
    photo = Photo(sphere_rgba(CAMERA, HW), CAMERA, PAPER_LENS)
    with pytest.raises(Failure, match="share no volume"):
        fit_sampled_views(photo, np.zeros((6, *HW, 4), np.float32), cameras, outvoting(1))
