"""Score Jacobian Chaining (arXiv 2212.00774): a 2D diffusion model's score, carried back to a 3D field.

y: latents of a rendered view. D(z, σ) is the model's estimate of the clean latents behind z = y + σ n. The model was
never trained on latents without noise such as y, so perturb-and-average estimates the score there:

    score(y) ≈ E_n[(D(y + σ n, σ) − y) / σ²],   n ~ N(0, 1)

The chain rule through rendering and encoding turns the score into a gradient for the field. Models with bounded
variance take α z = α y + s n instead, with σ = s/α.

The chain may also start from the rendered picture x, with decode(D(encode(x) + σ n)) as the denoiser. The gradient then
does not pass through the encoder's Jacobian, whose contribution is mostly noise of high frequency.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from reconstruct.settings import ScoreSettings
from zero123.conditioning import Conditioning
from zero123.pipeline import Zero123Pipeline
from zero123.score import Denoiser, alpha_sigma, decode, denoised, encode_target

Denoise = Callable[[Tensor], Tensor]

LATENT_PX = 8
"""Pixels of a latent each way."""


class ViewScore(Protocol):
    """A score for views of the object from a fixed list of viewpoints."""

    hw: tuple[int, int]

    def loss(self, images: Tensor, which: list[int], done: float, generator: torch.Generator) -> Tensor:
        """Return a scalar. Descending its gradient makes `images` (B, 3, H, W) in [0, 1] likelier.

        Views of a field of latents are latents (B, C, h, w).
        `which` are the indices of the viewpoints, `done` in [0, 1] is the completed part of the optimisation.
        """
        ...


def average_estimates(latents: Tensor, alpha: float, sigma: float, noises: Tensor, denoise: Denoise) -> Tensor:
    """Average D over noises (K, B, C, h, w) for latents (B, C, h, w). `denoise` takes α y + s n, with s = `sigma`."""
    estimates = [denoise(alpha * latents + sigma * noise) for noise in noises]
    return torch.stack(estimates).mean(dim=0)


def score_gradient(latents: Tensor, estimate: Tensor, alpha: float, sigma: float, sigma_power: float) -> Tensor:
    """Return (y − E[D]) / σ^p with σ = s/α, to be descended. p = 2 gives the negative score; SJC uses p = 1."""
    difference: Tensor = latents - estimate
    return difference * float((alpha / max(sigma, 1e-6)) ** sigma_power)


def sds_gradient(latents: Tensor, estimate: Tensor, alpha: float, sigma: float) -> Tensor:
    """Return w (ε̂ − ε) with w = s², to be descended: Score Distillation Sampling (arXiv 2209.14988, eq. 3).

    z = α y + s ε and z = α D + s ε̂ give ε̂ − ε = (y − D) α/s. `sigma` is s.
    """
    difference: Tensor = latents - estimate
    return difference * (alpha * sigma)


def scalar_with_gradient(latents: Tensor, gradient: Tensor) -> Tensor:
    """Return a scalar with the gradient `gradient` / N with respect to `latents`, where N is their number of values."""
    # A constant gradient: nothing is differentiated through the network, as in the papers.
    return (latents * gradient.detach()).sum() / latents.numel()


def timestep_range(settings: ScoreSettings, done: float) -> tuple[float, float]:
    """Return the range of timesteps, as fractions of the schedule, after the part `done` in [0, 1] of the steps."""
    (low_0, high_0), (low_1, high_1) = settings.timesteps_first, settings.timesteps_last
    return low_0 * (1.0 - done) + low_1 * done, high_0 * (1.0 - done) + high_1 * done


class ModelCodec:
    """The decoder of a model's autoencoder; see `reconstruct.field.LatentCodec`."""

    def __init__(self, pipeline: Zero123Pipeline) -> None:
        self.pipeline = pipeline
        self.edge_px = LATENT_PX
        with torch.no_grad():
            white = encode_target(pipeline, torch.ones(1, 3, *pipeline.hw, device=pipeline.device))
        # Light that passes has no place in a view, so the latent is the mean over all places.
        self.background: Tensor = white.float().mean((0, 2, 3))

    def decode(self, latents: Tensor) -> Tensor:
        """See `reconstruct.field.LatentCodec.decode`."""
        return decode(self.pipeline, latents)


class ModelScore:
    """The score of a diffusion model under a condition for each viewpoint.

    `of_latents` says that views come as latents, and are not encoded.
    """

    def __init__(
        self, model: Denoiser, conditioning: Conditioning, settings: ScoreSettings, *, of_latents: bool = False
    ) -> None:
        self.model, self.conditioning, self.settings, self.of_latents = model, conditioning, settings, of_latents
        height, width = model.hw
        self.hw: tuple[int, int] = (height // LATENT_PX, width // LATENT_PX) if of_latents else (height, width)

    def loss(self, images: Tensor, which: list[int], done: float, generator: torch.Generator) -> Tensor:
        """See `ViewScore.loss`."""
        if self.of_latents:
            return self._pull(images, images.detach(), lambda estimate: estimate, which, done, generator)
        if self.settings.space == "latents":
            latents = encode_target(self.model, images)
            return self._pull(latents, latents.detach(), lambda estimate: estimate, which, done, generator)
        with torch.no_grad():
            latents = encode_target(self.model, images)
        return self._pull(images, latents, lambda z: decode(self.model, z).clamp(0.0, 1.0), which, done, generator)

    def _pull(
        self,
        variable: Tensor,
        latents: Tensor,
        from_latents: Denoise,
        which: list[int],
        done: float,
        generator: torch.Generator,
    ) -> Tensor:
        """Return the score's scalar for `variable`. `from_latents` maps clean latents to an estimate of `variable`."""
        low, high = timestep_range(self.settings, done)
        fraction = low + (high - low) * float(torch.rand((), generator=generator))
        # The fractions 0 and 1 are the first and the last timestep.
        timestep = round(fraction * (len(self.model.schedule.alphas_cumprod) - 1))
        alpha, sigma = (float(value) for value in alpha_sigma(self.model, timestep))
        noises = torch.randn((self.settings.draws, *latents.shape), generator=generator).to(latents)
        conditioning = self.conditioning.select(which)

        def denoise(noisy: Tensor) -> Tensor:
            estimate: Tensor = denoised(self.model, noisy, timestep, conditioning, self.settings.guidance_scale)
            return estimate

        with torch.no_grad():
            estimate = average_estimates(latents, alpha, sigma, noises, denoise)
            if self.settings.gradient == "sds":
                gradient = sds_gradient(variable, from_latents(estimate), alpha, sigma)
            else:
                gradient = score_gradient(variable, from_latents(estimate), alpha, sigma, self.settings.sigma_power)
        return scalar_with_gradient(variable, gradient)
