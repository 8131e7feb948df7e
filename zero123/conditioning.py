"""The condition of the denoiser: the input view and the camera move, or nothing.

The null condition at sampling is zeros after the projection and zero latents, as in the original's sampler. The
original's trainer zeroes the embedding before the projection instead: its null token still knows the pose;
`Dropout.where` chooses between the two.
"""

from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class EncodedView:
    """An input view as the frozen encoders see it: `embedding` (N, K, E) and condition `latents` (N, 4, h, w).

    It does not depend on the camera move, and is computed once for all moves.
    """

    embedding: Tensor
    latents: Tensor


@dataclass(frozen=True)
class Conditioning:
    """Context tokens (N, K, C), K = 1 in the original, and the input view's condition latents (N, 4, h, w)."""

    context: Tensor
    latents: Tensor

    def __len__(self) -> int:
        return len(self.context)

    def select(self, which: slice | list[int] | Tensor) -> Self:
        """The rows that `which` names."""
        return type(self)(self.context[which], self.latents[which])


def null_conditioning(conditioning: Conditioning) -> Conditioning:
    """Return an empty condition with as many rows as given."""
    return Conditioning(torch.zeros_like(conditioning.context), torch.zeros_like(conditioning.latents))


def join(first: Conditioning, second: Conditioning) -> Conditioning:
    """Return the rows of both, the first's before the second's."""
    return Conditioning(torch.cat([first.context, second.context]), torch.cat([first.latents, second.latents]))


@dataclass(frozen=True)
class Dropout:
    """Classifier-free dropout: a sample's chances to lose its context, its latents, or both.

    `where` is what "losing the context" zeroes: the image `embedding` before the projection, or the whole `context`.
    """

    context: float
    latents: float
    both: float
    where: Literal["embedding", "context"]

    def kept(self, uniform: Tensor) -> tuple[Tensor, Tensor]:
        """Whether samples keep (context, latents), as booleans (N,), from a draw of U[0, 1) each.

        As in the original, the ranges of draws for losing the context, both, and the latents follow each other from 0
        up.
        """
        context_end = self.context + self.both
        keeps_context = uniform >= context_end
        # A single draw for both, so the ranges exclude each other.
        keeps_latents = (uniform < self.context) | (uniform >= context_end + self.latents)
        return keeps_context, keeps_latents
