"""What chance decides for a training pair, as a pure function of (seed, the pair's global number).

Which rank or worker trains the pair, in which batch, and how often the run was interrupted change none of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from base.seeds import stable_seed


@dataclass(frozen=True)
class Draws:
    """For N pairs: `time`, `drop`, `mirror`, `coloured` (N,) and `colour` (N, 3) in [0, 1).

    `noise` and `posterior` (N, 4, h, w) and `offset` (N, 4) are standard normal.
    """

    time: Tensor
    drop: Tensor
    mirror: Tensor
    coloured: Tensor
    colour: Tensor
    noise: Tensor
    posterior: Tensor
    offset: Tensor

    def to(self, device: torch.device) -> "Draws":
        """The same draws on a device."""
        return Draws(*(getattr(self, field.name).to(device, non_blocking=True) for field in fields(self)))

    def pinned(self) -> "Draws":
        """The same draws in memory from which a GPU copies by itself."""
        return Draws(*(getattr(self, field.name).pin_memory() for field in fields(self)))


def draws_for(seed: int, numbers: Sequence[int], latent_shape: tuple[int, int, int]) -> Draws:
    """The draws of the pairs with these global numbers."""
    uniform, noise, colour, offset = [], [], [], []
    for number in numbers:
        generator = torch.Generator().manual_seed(stable_seed(seed, "train", number))
        uniform.append(torch.rand(3, generator=generator))
        noise.append(torch.randn((2, *latent_shape), generator=generator))
        colour.append(torch.rand(4, generator=generator))
        offset.append(torch.randn(4, generator=generator))
    noises, colours = torch.stack(noise), torch.stack(colour)
    time, drop, mirror = torch.stack(uniform).T
    return Draws(time, drop, mirror, colours[:, 0], colours[:, 1:], noises[:, 0], noises[:, 1], torch.stack(offset))


def timesteps_from(uniform: Tensor, count: int, power: float) -> Tensor:
    """Timesteps in [0, count) from draws of U[0, 1): floor(count · (1 − u^power)), uniform for power 1."""
    return (count * (1.0 - uniform.double() ** power)).long().clamp_(0, count - 1)
