"""Volume rendering against a slow obvious loop, and against what can be worked out by hand."""

import math

import numpy as np
import torch

from geometry.camera import PAPER_LENS, look_at_origin
from reconstruct.field import VoxelField
from reconstruct.rays import Rays, camera_rays
from reconstruct.volume import render, sample_distances, sample_weights
from tests.reconstruct.scenes import SphereField, sphere_alpha


def slow_weights(sigma: np.ndarray, delta: np.ndarray) -> np.ndarray:
    weights = np.zeros_like(sigma)
    for ray in range(len(sigma)):
        light = 1.0
        for i in range(sigma.shape[1]):
            stopped = 1.0 - math.exp(-sigma[ray, i] * delta[ray, i])
            weights[ray, i] = light * stopped
            light *= 1.0 - stopped
    return weights


def test_weights_are_those_of_the_slow_loop() -> None:
    rng = np.random.default_rng(0)
    sigma, delta = rng.exponential(3.0, (5, 17)), rng.uniform(0.01, 0.2, (5, 17))
    fast = sample_weights(torch.tensor(sigma), torch.tensor(delta))
    np.testing.assert_allclose(fast, slow_weights(sigma, delta), rtol=1e-9)


def test_a_constant_density_absorbs_exponentially() -> None:
    field = VoxelField(8, 0.5, density_scale=1.0, gate=None)
    with torch.no_grad():
        field.density.fill_(math.log(math.expm1(2.0)))  # softplus of this is 2
        field.colour.fill_(0.0)  # sigmoid of this is one half
    through = Rays(torch.tensor([[2.0, 0.0, 0.0], [2.0, 3.0, 0.0]]), torch.tensor([[-1.0, 0.0, 0.0]]).repeat(2, 1))
    seen = render(field, through, samples=40)
    expected = 1.0 - math.exp(-2.0)
    torch.testing.assert_close(seen.alpha, torch.tensor([expected, 0.0]))
    torch.testing.assert_close(seen.premultiplied[0], torch.full((3,), expected / 2))
    torch.testing.assert_close(seen.over(torch.ones(3))[1], torch.ones(3))


def test_a_dense_ball_stops_rays_at_its_surface() -> None:
    camera = look_at_origin([0.0, -1.8, 0.9])
    rays = camera_rays(camera, PAPER_LENS, (32, 32))
    seen = render(SphereField(0.3, 500.0), rays, samples=256)
    alpha = sphere_alpha(camera, (32, 32), radius=0.3).reshape(-1)
    assert ((seen.alpha.numpy() > 0.5) == alpha).mean() > 0.99
    middle = 16 * 32 + 16
    assert abs(float(seen.depth[middle]) - (math.hypot(1.8, 0.9) - 0.3)) < 0.01


def test_samples_stay_in_their_parts() -> None:
    near, far = torch.tensor([1.0, 2.0]), torch.tensor([2.0, 2.0])
    random = sample_distances(near, far, 10, torch.Generator().manual_seed(0))
    edges = torch.linspace(1.0, 2.0, 11)
    assert ((random[0] >= edges[:-1]) & (random[0] <= edges[1:])).all()
    torch.testing.assert_close(random[1], torch.full((10,), 2.0))
    torch.testing.assert_close(sample_distances(near, far, 2, None)[0], torch.tensor([1.25, 1.75]))


def test_gradients_are_right_and_finite() -> None:
    field = VoxelField(3, 0.5, density_scale=2.0, gate=None).double()
    field.fill(-1.0, torch.tensor([0.2, 0.5, 0.9]), 0.3, torch.Generator().manual_seed(0))
    rays = camera_rays(look_at_origin([0.3, 1.7, 0.4]), PAPER_LENS, (3, 3))
    rays = Rays(rays.origins.double(), rays.directions.double())

    def picture(density: torch.Tensor, colour: torch.Tensor) -> torch.Tensor:
        values = {"density": density, "colour": colour}
        return torch.func.functional_call(_Shot(field, rays), {f"field.{k}": v for k, v in values.items()}, ())

    assert torch.autograd.gradcheck(picture, (field.density, field.colour))


class _Shot(torch.nn.Module):
    def __init__(self, field: VoxelField, rays: Rays) -> None:
        super().__init__()
        self.field, self.rays = field, rays

    def forward(self) -> torch.Tensor:
        seen = render(self.field, self.rays, samples=6)
        return torch.cat([seen.over(torch.ones(3, dtype=torch.float64)).reshape(-1), seen.depth])
