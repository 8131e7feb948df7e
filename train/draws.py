"""Random draws for training pairs: a pure function of (seed, the pair's global number).

They do not depend on ranks, workers, batches or interruptions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from base.seeds import stable_seed


@dataclass(frozen=True)
class Draws:
    """Draws for N pairs. `time`, `drop`, `mirror`, `coloured` and `colour` are uniform in [0, 1).

    `offset`, `noise` and `posterior` are standard normal. `posterior` is None for a deterministic autoencoder.
    """

    time: Float[Tensor, " N"]
    drop: Float[Tensor, " N"]
    mirror: Float[Tensor, " N"]
    coloured: Float[Tensor, " N"]
    colour: Float[Tensor, "N 3"]
    offset: Float[Tensor, "N 4"]
    noise: Float[Tensor, "N C h w"]
    posterior: Float[Tensor, "N C h w"] | None

    def to(self, device: torch.device) -> "Draws":
        """Copy the draws to a device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin(self) -> "Draws":
        """Copy the draws to pinned memory, for asynchronous copies to a GPU."""
        return self._each(Tensor.pin_memory)

    def tensors(self) -> list[Tensor]:
        """List the tensors."""
        return [tensor for tensor in vars(self).values() if tensor is not None]

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Draws":
        return replace(self, **{name: change(value) for name, value in vars(self).items() if value is not None})


def make_draws(seed: int, numbers: Sequence[int], latent_shape: tuple[int, int, int], *, posterior: bool) -> Draws:
    """Draw for the pairs with these global numbers. `posterior` does not change the other draws."""
    uniform, offset = torch.empty(len(numbers), 7), torch.empty(len(numbers), 4)
    normal = torch.empty(1 + posterior, len(numbers), *latent_shape)
    generator = torch.Generator()
    for row, number in enumerate(numbers):
        generator.manual_seed(stable_seed(seed, "train", number))
        # The order of the draws decides what a run learns. New draws must come last.
        torch.rand(7, generator=generator, out=uniform[row])
        torch.randn(4, generator=generator, out=offset[row])
        # Noise before the posterior, so that runs with and without a posterior see the same noise.
        for tensor in normal:
            torch.randn(latent_shape, generator=generator, out=tensor[row])
    time, drop, mirror, coloured, *_ = uniform.T
    return Draws(time, drop, mirror, coloured, uniform[:, 4:], offset, normal[0], normal[1] if posterior else None)


def timesteps_from(uniform: Float[Tensor, " N"], count: int, power: float, last: float = 0.0) -> Int[Tensor, " N"]:
    """Map draws of U[0, 1) to timesteps in [0, count): floor(count · (1 − u^power)), uniform for power 1.

    The share `last` of the draws becomes the last timestep, and the others are stretched to all of [0, 1).
    """
    # The smallest draws are the noisiest timesteps anyway, so the others change little. At last = 1 none are left.
    stretched = (uniform.double() - last).clamp_(min=0.0) / max(1.0 - last, 1e-9)
    return (count * (1.0 - stretched**power)).long().clamp_(0, count - 1)
