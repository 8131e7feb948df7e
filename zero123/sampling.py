"""Guidance and DDIM: plain functions of tensors. For the symbols see zero123.schedule."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from zero123.schedule import Schedule, clean_and_noise

Predict = Callable[[Tensor, int], Tensor]
"""The network's answer, guidance included, for noisy latents (N, 4, h, w) at a timestep."""
FreshNoise = Callable[[], Tensor]
"""New standard normal noise (N, 4, h, w) for a step, on any device."""


def apply_guidance(
    conditional: Float[Tensor, "*shape"], unconditional: Float[Tensor, "*shape"], scale: float
) -> Float[Tensor, "*shape"]:
    """Classifier-free guidance, u + w (c − u) (arXiv 2207.12598, equation 6 with w counted from 1 = off)."""
    return unconditional + scale * (conditional - unconditional)


def ddim_step(
    clean: Float[Tensor, "*shape"],
    noise: Float[Tensor, "*shape"],
    now: float,
    then: float,
    eta: float,
    fresh: Float[Tensor, "*shape"] | None,
) -> Float[Tensor, "*shape"]:
    """From ᾱ `now` to ᾱ `then` (arXiv 2010.02502, equations 12 and 16).

    `clean` and `noise` are x_0 and ε as predicted; `fresh` is new noise, needed only where `eta` > 0.
    """
    # Equation 16: eta 1 adds as much noise as DDPM, eta 0 none.
    spread: float = eta * ((1.0 - then) / (1.0 - now) * (1.0 - now / then)) ** 0.5
    result: Tensor = then**0.5 * clean + max(1.0 - then - spread**2, 0.0) ** 0.5 * noise
    return result if fresh is None else result + spread * fresh


def ddim(
    predict: Predict,
    schedule: Schedule,
    start: Float[Tensor, "N C h w"],
    timesteps: Sequence[int],
    *,
    eta: float,
    fresh: FreshNoise,
) -> Float[Tensor, "N C h w"]:
    """Clean latents from pure noise `start` (N, 4, h, w), an evaluation per timestep, `fresh` noise where `eta` > 0."""
    alphas = [float(schedule.alphas_cumprod[timestep]) for timestep in timesteps] + [schedule.final]
    latents = start
    for index, timestep in enumerate(timesteps):
        alpha, sigma = schedule.alpha_sigma(timestep, latents.dtype)
        clean, noise = clean_and_noise(predict(latents, timestep), latents, alpha, sigma, schedule.prediction)
        # Not drawn at eta 0: a generator is advanced only by noise that is used.
        added = fresh().to(start) if eta > 0.0 else None
        latents = ddim_step(clean, noise, alphas[index], alphas[index + 1], eta, added)
    return latents


def noise_rows(shape: Sequence[int], generators: Sequence[torch.Generator]) -> Float[Tensor, "N ..."]:
    """Standard normal noise (N, *shape) on the CPU, a generator per row: rows do not depend on each other."""
    return torch.stack([torch.randn(tuple(shape), generator=generator) for generator in generators])


def generators_for(seeds: Sequence[int]) -> list[torch.Generator]:
    """Return a CPU generator for each seed: the same numbers on every device."""
    return [torch.Generator().manual_seed(int(seed)) for seed in seeds]
