"""Score Jacobian Chaining (arXiv 2212.00774): a 2D diffusion model's score, carried back to a 3D field.

y: latents of a rendered view. The model is known at noise σ: D(z, σ) is its estimate of the clean latents behind
z = y + σ n. Perturb-and-average gives the score at y, where y itself has no noise and the model would be lost:

    score(y) ≈ E_n[(D(y + σ n, σ) − y) / σ²],   n ~ N(0, 1)

and the chain rule through rendering and encoding turns it into a gradient for the field. Models with bounded variance
take α z = α y + s n instead, with σ = s/α.

The chain may also start from the rendered picture x: decode(D(encode(x) + σ n)) is then the denoiser whose score is
used. That spares the field what an encoder's Jacobian adds, which is mostly noise of high frequency.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from reconstruct.settings import ScoreSettings
from zero123.pipeline import Zero123Pipeline
from zero123.score import alpha_sigma, decode, denoised, encode_target

Denoise = Callable[[Tensor], Tensor]


class ViewScore(Protocol):
    """Something that has an opinion about views of the object from a fixed list of viewpoints."""

    hw: tuple[int, int]

    def loss(self, images: Tensor, which: list[int], done: float, generator: torch.Generator) -> Tensor:
        """A scalar whose gradient with respect to `images` (B, 3, H, W) in [0, 1] makes them likelier.

        `which` are the viewpoints' numbers, `done` in [0, 1] is how far the reconstruction is.
        """
        ...


def averaged_estimate(latents: Tensor, alpha: float, sigma: float, noises: Tensor, denoise: Denoise) -> Tensor:
    """E_n[D] for latents (B, C, h, w) over noises (K, B, C, h, w); `denoise` takes α y + s n, with s = `sigma`."""
    estimates = [denoise(alpha * latents + sigma * noise) for noise in noises]
    return torch.stack(estimates).mean(dim=0)


def score_gradient(latents: Tensor, estimate: Tensor, alpha: float, sigma: float, sigma_power: float) -> Tensor:
    """(y − E[D]) / σ^p with σ = s/α: the direction to descend. p = 2 is the score itself, 1 what SJC uses."""
    difference: Tensor = latents - estimate
    return difference * float((alpha / max(sigma, 1e-6)) ** sigma_power)


def chained(latents: Tensor, gradient: Tensor) -> Tensor:
    """A scalar whose gradient with respect to `latents` is `gradient`, divided by the latents' number of values."""
    return (latents * gradient.detach()).sum() / latents.numel()


def timestep_range(settings: ScoreSettings, done: float) -> tuple[float, float]:
    """The range of timesteps, as fractions of the schedule, when `done` in [0, 1] of the steps are behind."""
    (low_0, high_0), (low_1, high_1) = settings.timesteps_first, settings.timesteps_last
    return low_0 * (1.0 - done) + low_1 * done, high_0 * (1.0 - done) + high_1 * done


class ModelScore:
    """The score of a `Zero123Pipeline` for one input view and a list of relative poses."""

    def __init__(self, pipeline: Zero123Pipeline, rgba: NDArray, poses: ArrayLike, settings: ScoreSettings) -> None:
        self.pipeline, self.settings = pipeline, settings
        self.hw: tuple[int, int] = pipeline.hw
        self.conditioning = pipeline.condition(rgba[None], poses)

    def loss(self, images: Tensor, which: list[int], done: float, generator: torch.Generator) -> Tensor:
        """See `ViewScore.loss`."""
        if self.settings.space == "latents":
            latents = encode_target(self.pipeline, images)
            return self._pull(latents, latents.detach(), lambda estimate: estimate, which, done, generator)
        with torch.no_grad():
            latents = encode_target(self.pipeline, images)
        return self._pull(images, latents, lambda z: decode(self.pipeline, z).clamp(0.0, 1.0), which, done, generator)

    def _pull(
        self,
        variable: Tensor,
        latents: Tensor,
        from_latents: Denoise,
        which: list[int],
        done: float,
        generator: torch.Generator,
    ) -> Tensor:
        """The score's scalar for `variable`, which `from_latents` of clean latents is an estimate of."""
        low, high = timestep_range(self.settings, done)
        fraction = low + (high - low) * float(torch.rand((), generator=generator))
        timestep = round(fraction * (self.pipeline.scheduler.config.num_train_timesteps - 1))
        alpha, sigma = (float(value) for value in alpha_sigma(self.pipeline, timestep))
        noises = torch.randn((self.settings.draws, *latents.shape), generator=generator).to(latents)
        conditioning = self.conditioning.select(which)

        def denoise(noisy: Tensor) -> Tensor:
            estimate: Tensor = denoised(self.pipeline, noisy, timestep, conditioning, self.settings.guidance_scale)
            return estimate

        with torch.no_grad():
            estimate = averaged_estimate(latents, alpha, sigma, noises, denoise)
            gradient = score_gradient(variable, from_latents(estimate), alpha, sigma, self.settings.sigma_power)
        return chained(variable, gradient)
