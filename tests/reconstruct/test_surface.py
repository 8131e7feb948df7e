"""A surface fitted to views: the hull of a ball, and a painted bowl opened by its colours."""

import numpy as np
import pytest
import torch
import trimesh

from base.errors import Failure
from geometry.camera import PAPER_LENS, look_at_origin
from reconstruct.depth_maps import DepthMap
from reconstruct.hull import cell_centres, hull_distance, hull_opacity, outline_distances
from reconstruct.raster import rasterise
from reconstruct.simplify import mesh_facts, simplified, surface_mesh
from reconstruct.support import Silhouettes
from reconstruct.surface import (
    SignedField,
    fit_surface,
    fuse_depths,
    measured_again,
    without_small_parts,
)
from reconstruct.viewpoints import draw_viewpoints
from tests.reconstruct.scenes import RADIUS, small_settings, sphere_alpha

HW = (64, 64)
HALF = 0.52


def ball_distance(resolution: int, radius: float) -> np.ndarray:
    line = cell_centres(resolution, HALF)
    x, y, z = np.meshgrid(line, line, line, indexing="ij")
    return (np.sqrt(x**2 + y**2 + z**2) - radius).astype(np.float32)


@pytest.fixture(scope="module")
def alphas() -> tuple[np.ndarray, np.ndarray]:
    """Soft silhouettes of a ball, each pixel the mean of 4 × 4, and their cameras."""
    cameras = draw_viewpoints(0, 24, (1.5, 2.2))
    fine = np.stack([sphere_alpha(camera, (HW[0] * 4, HW[1] * 4)) for camera in cameras]).astype(np.float32)
    return fine.reshape(len(cameras), HW[0], 4, HW[1], 4).mean((2, 4)), cameras


def test_the_hull_of_a_ball_is_the_ball(alphas: tuple[np.ndarray, np.ndarray]) -> None:
    distance = hull_distance(*alphas, PAPER_LENS, 48, HALF)
    true = ball_distance(48, RADIUS)
    near = np.abs(true) < 0.03
    assert np.abs(distance - true)[near].max() < 0.02
    assert np.abs(distance - true)[near].mean() < 0.004
    opacity = hull_opacity(*alphas, PAPER_LENS, 48, HALF)
    assert ((opacity > 0.5) == (distance < 0.0)).mean() > 0.999


def test_outlines_are_measured_in_pixels() -> None:
    alpha = np.zeros((1, 16, 16), np.float32)
    alpha[0, :, :8] = 1.0
    (distance,) = outline_distances(alpha)
    np.testing.assert_allclose(distance[8], np.arange(16) - 7.5, atol=0.3)
    (empty,) = outline_distances(np.zeros((1, 16, 16), np.float32))
    assert (empty > 0.0).all()


def test_distances_are_measured_again() -> None:
    bent = ball_distance(40, 0.3) * 2.5  # the right zero level, the wrong slope
    again = measured_again(bent, 2 * HALF / 40)
    true = ball_distance(40, 0.3)
    assert np.abs(again - true)[np.abs(true) < 0.1].max() < 0.02


def test_small_parts_and_closed_hollows_go() -> None:
    grid = np.full((20, 20, 20), 1.0, np.float32)
    grid[4:14, 4:14, 4:14] = -1.0
    grid[8, 8, 8] = 0.5
    grid[17, 17, 17] = -1.0
    kept = without_small_parts(grid, 0.02)
    assert (kept < 0.0).sum() == 1000
    assert kept[8, 8, 8] < 0.0


def test_fusing_the_depths_of_a_plane() -> None:
    camera = look_at_origin([0.0, 0.0, 2.0])
    seen = DepthMap(torch.full(HW, 1.9), torch.ones(HW))  # a plane at z = .1, seen from above
    silhouettes = Silhouettes(np.ones((1, *HW), np.float32), camera[None], PAPER_LENS, HALF)
    fused = fuse_depths([seen], np.full((26,) * 3, -1.0, np.float32), silhouettes, 0.5)
    line = cell_centres(26, HALF)
    np.testing.assert_allclose(fused[13, 13], np.clip(line - 0.1, -0.12, 0.12), atol=1e-5)


def bowl() -> trimesh.Trimesh:
    """A bowl with thick walls: half a ball, less a smaller half ball."""
    angle = np.linspace(0.0, np.pi / 2, 25)
    outer = np.stack([0.48 * np.sin(angle), -0.48 * np.cos(angle)], 1)
    inner = np.stack([0.38 * np.sin(angle), -0.38 * np.cos(angle)], 1)[::-1]
    profile = np.concatenate([outer, inner]) + np.array([0.0, 0.2])
    return trimesh.creation.revolve(profile, sections=64)


def painted_views(mesh: trimesh.Trimesh, cameras: np.ndarray) -> np.ndarray:
    """Views in colours that vary over the surface, four samples a pixel each way."""
    images = []
    phase = np.stack([9.0 * mesh.vertices[:, 0], 11.0 * mesh.vertices[:, 1], 10.0 * mesh.vertices[:, 2]], 1)
    colours = 0.5 + 0.4 * np.sin(phase + 2.0 * phase[:, ::-1])
    for camera in cameras:
        raster = rasterise(mesh.vertices, mesh.faces.astype(np.int64), camera, PAPER_LENS, (HW[0] * 3, HW[1] * 3))
        seen = np.einsum("hwk,hwkc->hwc", raster.barycentric, colours[mesh.faces[raster.face]])
        rgba = np.concatenate([seen, np.ones_like(seen[..., :1])], -1) * (raster.face >= 0)[..., None]
        mean = rgba.reshape(HW[0], 3, HW[1], 3, 4).mean((1, 3))
        mean[..., :3] /= np.maximum(mean[..., 3:], 1e-6)
        images.append(mean)
    return np.stack(images).astype(np.float32)


def test_colours_open_a_bowl() -> None:
    cameras = draw_viewpoints(0, 24, (1.5, 2.0))
    images = painted_views(bowl(), cameras)
    settings = small_settings().surface
    closed = settings.model_copy(update={"sweep": settings.sweep.model_copy(update={"rounds": 0})})
    hull = surface_mesh(fit_surface(images, cameras, PAPER_LENS, closed, HALF), 10_000)
    opened = surface_mesh(fit_surface(images, cameras, PAPER_LENS, settings, HALF), 10_000)
    volumes = [abs(trimesh.Trimesh(mesh.vertices, mesh.faces).volume) for mesh in (hull, opened)]
    true = abs(bowl().volume)
    assert volumes[0] > 1.7 * true
    assert 0.8 * true < volumes[1] < 1.35 * true
    assert mesh_facts(opened).watertight


def test_views_without_a_common_volume_are_a_clear_failure() -> None:
    cameras = draw_viewpoints(0, 12, (1.5, 2.0))
    with pytest.raises(Failure, match="share no volume"):
        fit_surface(np.zeros((12, *HW, 4), np.float32), cameras, PAPER_LENS, small_settings().surface, HALF)


def test_a_mesh_is_simplified_to_its_number_of_faces() -> None:
    whole = surface_mesh(SignedField(ball_distance(48, 0.4), HALF), 1_000_000)
    less = simplified(whole.vertices, whole.faces, 1_500)
    assert 1_300 < len(less.faces) <= 1_600
    assert abs(np.linalg.norm(less.vertices, axis=1) - 0.4).max() < 0.01
    assert (less.normals * less.vertices).sum(1).min() > 0.0
    assert mesh_facts(less).watertight
    assert mesh_facts(less).components == 1
    with pytest.raises(Failure, match="expected a field with something solid"):
        surface_mesh(SignedField(np.ones((8, 8, 8), np.float32), HALF), 100)
