"""Latents per autoencoder: two scalings, and all public weights depend on them.

Images are (N, 3, H, W) in [−1, 1]; latents are (N, 4, H/8, W/8). Stable Diffusion's VAE: the target is a sample times
0.18215, the condition is the mode, unscaled. TAESD's latents are born scaled: the target is as it comes, the condition
is divided by 0.18215. So either autoencoder gives the network conditions of the same size.
"""

from typing import TypeAlias

import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from torch import Tensor

SD_SCALE = 0.18215

Autoencoder: TypeAlias = AutoencoderKL | AutoencoderTiny


def target_latent(vae: Autoencoder, images: Tensor, noise: Tensor | None = None) -> Tensor:
    """Return the latents for the model to learn; differentiable.

    `noise` of the latents' shape draws a sample of the VAE's posterior, None takes its mode; TAESD has no posterior.
    """
    return target_from_moments(moments(vae, images), noise)


def moments(vae: Autoencoder, images: Tensor) -> Tensor:
    """What the autoencoder says of images: mean and standard deviation (N, 8, h, w), unscaled; TAESD (N, 4, h, w)."""
    if isinstance(vae, AutoencoderTiny):
        # Its convolutions take two thirds of the time on a CPU so, and it has no GroupNorm (see `composited`).
        return vae.encode(images.contiguous(memory_format=torch.channels_last)).latents  # type: ignore[no-any-return]
    posterior = vae.encode(images).latent_dist
    return torch.cat([posterior.mean, posterior.std], dim=1)


def target_from_moments(found: Tensor, noise: Tensor | None = None) -> Tensor:
    """Return `target_latent` of images from their known moments."""
    # TAESD has no posterior: its moments are the latents themselves.
    if found.shape[1] == 4:
        return found
    mean, std = found.chunk(2, dim=1)
    return (mean if noise is None else mean + std * noise) * SD_SCALE


def condition_from_moments(found: Tensor) -> Tensor:
    """Return `condition_latent` of images from their known moments."""
    return condition_from_target(target_from_moments(found))


def condition_latent(vae: Autoencoder, images: Tensor) -> Tensor:
    """The latents of the input view, as the network gets them beside the noisy target."""
    return target_latent(vae, images) / SD_SCALE


def condition_from_target(latents: Tensor) -> Tensor:
    """Return the condition latents of an image from its noiseless target latents."""
    return latents * (1.0 / SD_SCALE)


def image_from_latent(vae: Autoencoder, latents: Tensor) -> Tensor:
    """Return the images of target latents; differentiable, not clamped."""
    if isinstance(vae, AutoencoderTiny):
        return vae.decode(latents.contiguous(memory_format=torch.channels_last)).sample  # type: ignore[no-any-return]
    return vae.decode(latents * (1.0 / SD_SCALE)).sample  # type: ignore[no-any-return]


def is_deterministic(vae: Autoencoder) -> bool:
    """Say whether an image has a single latent, to be computed once and kept."""
    return isinstance(vae, AutoencoderTiny)


def composited(rgba: Tensor, background: float | Tensor = 1.0, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 RGBA (N, H, W, 4) on white, a grey or colours (N, 3, 1, 1) in [0, 1], as images (N, 3, H, W) in [−1, 1].

    The images are contiguous. They would inherit the channels-last memory of the pixels. On it torch's GroupNorm on a
    CPU is hundreds of times less exact: an autoencoder's latents would be off by 7e-4 of their largest value.
    """
    values = rgba.permute(0, 3, 1, 2).to(dtype) / 255.0
    colour, alpha = values[:, :3], values[:, 3:]
    return ((colour * alpha + background * (1.0 - alpha)) * 2.0 - 1.0).contiguous()
