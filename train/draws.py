"""What chance decides for a training pair, as a pure function of (seed, the pair's global number).

Which rank or worker trains the pair, in which batch, and how often the run was interrupted change none of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from base.seeds import stable_seed


@dataclass(frozen=True)
class Draws:
    """For N pairs: `time`, `drop` and `mirror` (N,) in [0, 1), `noise` and `posterior` (N, 4, h, w), on the CPU."""

    time: Tensor
    drop: Tensor
    mirror: Tensor
    noise: Tensor
    posterior: Tensor


def draws_for(seed: int, numbers: Sequence[int], latent_shape: tuple[int, int, int]) -> Draws:
    """The draws of the pairs with these global numbers."""
    uniform, noise = [], []
    for number in numbers:
        generator = torch.Generator().manual_seed(stable_seed(seed, "train", number))
        uniform.append(torch.rand(3, generator=generator))
        noise.append(torch.randn((2, *latent_shape), generator=generator))
    uniforms, noises = torch.stack(uniform), torch.stack(noise)
    time, drop, mirror = uniforms.T
    return Draws(time, drop, mirror, noises[:, 0], noises[:, 1])


def timesteps_from(uniform: Tensor, count: int, power: float) -> Tensor:
    """Timesteps in [0, count) from draws of U[0, 1): floor(count · (1 − u^power)), uniform for power 1."""
    return (count * (1.0 - uniform.double() ** power)).long().clamp_(0, count - 1)
