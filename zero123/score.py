"""The trained model as a denoiser of latents, for any kind of prediction: the need of score chaining."""

from typing import TYPE_CHECKING

from torch import Tensor

from zero123.conditioning import Conditioning
from zero123.latents import image_from_latent, target_latent
from zero123.schedule import clean_and_noise

if TYPE_CHECKING:
    from zero123.model import Zero123Model


def alpha_sigma(pipeline: "Zero123Model", timestep: int | Tensor) -> tuple[Tensor, Tensor]:
    """The weights α and σ of signal and noise at a timestep, x_t = α x_0 + σ ε."""
    return pipeline.schedule.alpha_sigma(timestep)


def denoised(
    pipeline: "Zero123Model", noisy: Tensor, timestep: int, conditioning: Conditioning, guidance_scale: float
) -> Tensor:
    """The model's estimate of the clean latents x_0 behind `noisy` (N, 4, h, w), guided; differentiable in `noisy`."""
    output = pipeline.predict_guided(noisy, timestep, conditioning, guidance_scale)
    alpha, sigma = pipeline.schedule.alpha_sigma(timestep)
    return clean_and_noise(output, noisy, alpha, sigma, pipeline.schedule.prediction)[0]


def encode_target(pipeline: "Zero123Model", images: Tensor) -> Tensor:
    """The latents of images (N, 3, H, W) in [0, 1], without posterior noise; differentiable."""
    return target_latent(pipeline.vae, images * 2.0 - 1.0)


def decode(pipeline: "Zero123Model", latents: Tensor) -> Tensor:
    """The images (N, 3, H, W), in [0, 1] up to overshoot, of latents; differentiable."""
    return (image_from_latent(pipeline.vae, latents) + 1.0) / 2.0
