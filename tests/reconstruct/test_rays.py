"""Rays agree with the cameras of geometry/."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geometry.camera import PAPER_LENS, camera_centre, look_at_origin, project
from reconstruct.rays import Rays, box_span, camera_rays, join_rays, project_points

coordinate = st.floats(-2.0, 2.0)


@settings(max_examples=20, deadline=None)
@given(coordinate, coordinate, st.floats(0.5, 2.0))
def test_a_point_on_a_ray_falls_on_its_pixel(x: float, y: float, z: float) -> None:
    camera, hw = look_at_origin([x, y, z]), (6, 8)
    rays = camera_rays(camera, PAPER_LENS, hw)
    points = (rays.origins + 1.3 * rays.directions).numpy()
    rows, columns = np.divmod(np.arange(48), 8)
    expected = np.stack([columns + 0.5, rows + 0.5], axis=1)
    np.testing.assert_allclose(project(points, camera, PAPER_LENS, hw), expected, atol=1e-3)


def test_rays_start_at_the_camera_with_length_one() -> None:
    camera = look_at_origin([1.0, -1.0, 0.7])
    rays = camera_rays(camera, PAPER_LENS, (4, 4))
    np.testing.assert_allclose(rays.origins, np.broadcast_to(camera_centre(camera), (16, 3)), atol=1e-6)
    torch.testing.assert_close(rays.directions.norm(dim=1), torch.ones(16))
    both = join_rays([rays, rays[:3]])
    assert len(both) == 19


def test_span_of_a_cube() -> None:
    origins = torch.tensor([[2.0, 0.0, 0.0], [2.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    directions = torch.tensor([[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    near, far = box_span(Rays(origins, directions), 0.5)
    torch.testing.assert_close(near[0], torch.tensor(1.5))
    torch.testing.assert_close(far[0], torch.tensor(2.5))
    torch.testing.assert_close(far - near, torch.tensor([1.0, 0.0, 0.0, 0.5]))


def test_projection_in_torch_agrees_with_geometry() -> None:
    camera, hw = look_at_origin([0.9, 1.1, -0.8]), (32, 32)
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (50, 3))
    focal = 2.0 * PAPER_LENS.focal_px(hw) / 32
    ours = project_points(torch.tensor(points), torch.tensor(camera), focal).numpy()
    np.testing.assert_allclose((ours + 1.0) * 16.0, project(points, camera, PAPER_LENS, hw), atol=1e-9)
