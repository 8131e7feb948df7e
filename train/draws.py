"""What chance decides for a training pair, as a pure function of (seed, the pair's global number).

Which rank or worker trains the pair, in which batch, and how often the run was interrupted change none of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from base.seeds import stable_seed


@dataclass(frozen=True)
class Draws:
    """For N pairs: `time`, `drop`, `mirror`, `coloured` (N,) and `colour` (N, 3) in [0, 1).

    `offset` (N, 4), `noise` and `posterior` (N, 4, h, w) are standard normal; `posterior` is None where the autoencoder
    gives an image one latent only.
    """

    time: Tensor
    drop: Tensor
    mirror: Tensor
    coloured: Tensor
    colour: Tensor
    offset: Tensor
    noise: Tensor
    posterior: Tensor | None

    def to(self, device: torch.device) -> "Draws":
        """The same draws on a device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin(self) -> "Draws":
        """The same draws in memory from which a GPU copies by itself."""
        return self._each(Tensor.pin_memory)

    def tensors(self) -> list[Tensor]:
        """Every tensor that there is."""
        return [tensor for tensor in vars(self).values() if tensor is not None]

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Draws":
        return replace(self, **{name: change(one) for name, one in vars(self).items() if one is not None})


def make_draws(seed: int, numbers: Sequence[int], latent_shape: tuple[int, int, int], *, posterior: bool) -> Draws:
    """The draws of the pairs with these global numbers; what else is drawn is the same with a posterior and without."""
    uniform, offset = torch.empty(len(numbers), 7), torch.empty(len(numbers), 4)
    normal = torch.empty(1 + posterior, len(numbers), *latent_shape)
    generator = torch.Generator()
    for row, number in enumerate(numbers):
        generator.manual_seed(stable_seed(seed, "train", number))
        torch.rand(7, generator=generator, out=uniform[row])
        torch.randn(4, generator=generator, out=offset[row])
        for tensor in normal:
            torch.randn(latent_shape, generator=generator, out=tensor[row])
    time, drop, mirror, coloured, *_ = uniform.T
    return Draws(time, drop, mirror, coloured, uniform[:, 4:], offset, normal[0], normal[1] if posterior else None)


def timesteps_from(uniform: Tensor, count: int, power: float) -> Tensor:
    """Timesteps in [0, count) from draws of U[0, 1): floor(count · (1 − u^power)), uniform for power 1."""
    return (count * (1.0 - uniform.double() ** power)).long().clamp_(0, count - 1)
