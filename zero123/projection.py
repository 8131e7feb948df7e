"""The projection of an image embedding and a pose to a context token (arXiv 2303.11328, §3.2).

Saved checkpoints name this module and class: neither ever moves.
"""

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn


class CCProjection(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """A linear map of [embedding, pose] to a context token, at first the identity on the embedding.

    The pose's columns start as PyTorch draws them, as in the original; where the two widths differ, the identity covers
    the smaller width.
    """

    @register_to_config
    def __init__(self, embedding: int = 768, pose: int = 4, context: int = 768) -> None:
        super().__init__()
        self.projection = nn.Linear(embedding + pose, context)
        with torch.no_grad():
            # With the identity the UNet first sees the image embedding that it was trained on.
            self.projection.weight[:, :embedding] = torch.eye(context, embedding)
            self.projection.bias.zero_()

    def forward(self, embedding: Tensor, pose: Tensor) -> Tensor:
        """The context tokens (N, K, context) of embeddings (N, K, embedding) and poses (N, 4)."""
        told = pose.to(embedding)[:, None].expand(-1, embedding.shape[1], -1)
        return self.projection(torch.cat([embedding, told], dim=2))  # type: ignore[no-any-return]
