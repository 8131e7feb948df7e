"""Score Jacobian Chaining where everything is known: a Gaussian, whose best estimate has a closed form."""

import torch
from torch import Tensor

from reconstruct.sjc import average_estimates, scalar_with_gradient, score_gradient, sds_gradient, timestep_range
from tests.reconstruct.scenes import small_settings

MEAN, SPREAD = 0.7, 0.5


def gaussian_denoiser(alpha: float, sigma: float) -> "object":
    """E[x | α x + s n] for x ~ N(MEAN, SPREAD²)."""

    def denoise(noisy: Tensor) -> Tensor:
        gain = alpha * SPREAD**2 / (alpha**2 * SPREAD**2 + sigma**2)
        return MEAN + gain * (noisy - alpha * MEAN)

    return denoise


def test_the_score_of_a_gaussian() -> None:
    """With noise σ = s/α the score at y is that of N(MEAN, SPREAD² + σ²), divided by −1 to descend."""
    alpha, sigma = 0.6, 0.8
    latents = torch.linspace(-2.0, 3.0, 8).view(1, 2, 2, 2)
    noises = torch.randn(20_000, *latents.shape, generator=torch.Generator().manual_seed(0))
    estimate = average_estimates(latents, alpha, sigma, noises, gaussian_denoiser(alpha, sigma))
    gradient = score_gradient(latents, estimate, alpha, sigma, sigma_power=2.0)
    expected = (latents - MEAN) / (SPREAD**2 + (sigma / alpha) ** 2)
    torch.testing.assert_close(gradient, expected, atol=0.02, rtol=0.0)


def test_the_power_of_sigma_only_scales() -> None:
    latents, estimate = torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
    whole = score_gradient(latents, estimate, 0.5, 0.25, 0.0)
    torch.testing.assert_close(whole, latents)
    torch.testing.assert_close(score_gradient(latents, estimate, 0.5, 0.25, 1.0), 2.0 * whole)


def test_descent_finds_the_mode_through_an_encoder() -> None:
    """The gradient reaches what is behind the latents by the chain rule: latents are a fixed linear map here."""
    mix = torch.tensor([[1.0, 0.5], [-0.3, 0.8]])
    behind = torch.zeros(2, 2, requires_grad=True)
    optimiser = torch.optim.SGD([behind], lr=1.0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(600):
        latents = behind @ mix
        noises = torch.randn(4, 2, 2, generator=generator)
        estimate = average_estimates(latents.detach(), 0.8, 0.6, noises, gaussian_denoiser(0.8, 0.6))
        optimiser.zero_grad()
        scalar_with_gradient(latents, score_gradient(latents.detach(), estimate, 0.8, 0.6, 1.0)).backward()
        optimiser.step()
    torch.testing.assert_close((behind @ mix).detach(), torch.full((2, 2), MEAN), atol=0.25, rtol=0.0)


def test_timesteps_move_from_the_first_range_to_the_last() -> None:
    score = small_settings().score
    assert timestep_range(score, 0.0) == score.timesteps_first
    assert timestep_range(score, 1.0) == score.timesteps_last
    low, high = timestep_range(score, 0.5)
    assert (round(low, 6), round(high, 6)) == (0.6, 0.79)


def test_sds_is_the_weighted_error_of_the_noise() -> None:
    """Against w (ε̂ − ε) as DreamFusion writes it, number by number."""
    generator = torch.Generator().manual_seed(0)
    latents, noise, predicted = (torch.randn(2, 3, 4, generator=generator, dtype=torch.float64) for _ in range(3))
    alpha, sigma = 0.6, 0.8
    noisy = alpha * latents + sigma * noise
    estimate = (noisy - sigma * predicted) / alpha
    slow = torch.zeros_like(latents)
    for index in range(latents.numel()):
        slow.view(-1)[index] = sigma**2 * (predicted.reshape(-1)[index] - noise.reshape(-1)[index])
    torch.testing.assert_close(sds_gradient(latents, estimate, alpha, sigma), slow)
