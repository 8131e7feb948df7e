"""The trained model as a denoiser of latents, for any kind of prediction: the need of score chaining."""

from typing import Protocol

from torch import Tensor

from zero123.conditioning import Conditioning
from zero123.latents import Autoencoder, image_from_latent, target_latent
from zero123.schedule import Schedule, clean_and_noise


class Denoiser(Protocol):
    """A diffusion model of latents, ours or another, whose pictures have `hw` pixels."""

    @property
    def hw(self) -> tuple[int, int]:
        """The size of its pictures."""
        ...

    @property
    def vae(self) -> Autoencoder:
        """The autoencoder of its latents."""
        ...

    @property
    def schedule(self) -> Schedule:
        """Its noise levels."""
        ...

    def predict_guided(self, noisy: Tensor, timestep: int, conditioning: Conditioning, scale: float) -> Tensor:
        """The guided answer for noisy latents (N, 4, h, w) at a timestep."""
        ...


def alpha_sigma(model: Denoiser, timestep: int | Tensor) -> tuple[Tensor, Tensor]:
    """The weights α and σ of signal and noise at a timestep, x_t = α x_0 + σ ε."""
    return model.schedule.alpha_sigma(timestep)


def denoised(
    model: Denoiser, noisy: Tensor, timestep: int, conditioning: Conditioning, guidance_scale: float
) -> Tensor:
    """The model's estimate of the clean latents x_0 behind `noisy` (N, 4, h, w), guided; differentiable in `noisy`."""
    output = model.predict_guided(noisy, timestep, conditioning, guidance_scale)
    alpha, sigma = model.schedule.alpha_sigma(timestep)
    return clean_and_noise(output, noisy, alpha, sigma, model.schedule.prediction)[0]


def encode_target(model: Denoiser, images: Tensor) -> Tensor:
    """The latents of images (N, 3, H, W) in [0, 1], without posterior noise; differentiable."""
    return target_latent(model.vae, images * 2.0 - 1.0)


def decode(model: Denoiser, latents: Tensor) -> Tensor:
    """The images (N, 3, H, W), in [0, 1] up to overshoot, of latents; differentiable."""
    return (image_from_latent(model.vae, latents) + 1.0) / 2.0
