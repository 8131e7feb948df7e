"""The consistency loss of DietNeRF (Jain, Tancik and Abbeel, ICCV 2021, arXiv 2104.00677): a NeRF from few views.

φ(x) is CLIP's embedding of a picture x, scaled to length 1. "A bulldozer is a bulldozer from any perspective": a view Î
rendered from any side should have the embedding of the input I,

    L_SC(I, Î) = λ/2 |φ(I) − φ(Î)|² = λ (1 − φ(I)·φ(Î)).
"""

from collections.abc import Callable

import torch
from torch import Tensor

Embed = Callable[[Tensor], Tensor]
"""Pictures (N, 3, H, W) in [0, 1] to embeddings (N, E) of length 1; differentiable."""

WEIGHT = 0.01
"""λ for a colour loss of weight 1. The authors' is 0.1 at every tenth step; here a tenth of it counts at each."""
HW = (168, 168)
"""The authors render views for this loss smaller than the input."""


def semantic_consistency(embedding: Tensor, rendered: Tensor) -> Tensor:
    """Return the mean of |φ − φ̂|² / 2 for the input's embedding (E,) and those of rendered views (N, E)."""
    return (rendered - embedding).square().sum(dim=1).mean() / 2.0


class ConsistencyScore:
    """The loss against an input `image` (3, H, W) in [0, 1], as a `ViewScore` (reconstruct.sjc); it needs no camera."""

    def __init__(self, embed: Embed, image: Tensor, hw: tuple[int, int] = HW) -> None:
        self.embed, self.hw = embed, hw
        with torch.no_grad():
            self.embedding = embed(image[None])[0]

    def loss(self, images: Tensor, which: list[int], done: float, generator: torch.Generator) -> Tensor:
        """Return λ (1 − φ·φ̂), averaged over views (B, 3, H, W) in [0, 1]."""
        return WEIGHT * semantic_consistency(self.embedding, self.embed(images)).float()
