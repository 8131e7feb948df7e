"""The frozen part of a model: what it makes of a view is the same at every step, and may be kept."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import CLIPVisionModelWithProjection

from base.digest import digest_json
from zero123.image_encoder import (
    CLIP_HW,
    CLIP_MEAN,
    CLIP_STD,
    ContextTokens,
    ImageEncoder,
    LatentEncoder,
    image_embedding,
)
from zero123.latents import Autoencoder, composited, condition_from_moments, moments
from zero123.model import Zero123Model

FORMAT = 1


@dataclass(frozen=True)
class FrozenEncoders:
    """An autoencoder and, where it is frozen, an image encoder of `tokens`, for views of `hw` pixels on white."""

    vae: Autoencoder
    image_encoder: CLIPVisionModelWithProjection | None
    tokens: ContextTokens
    hw: tuple[int, int]

    @classmethod
    def of(
        cls, vae: Autoencoder, image_encoder: ImageEncoder, tokens: ContextTokens, hw: tuple[int, int]
    ) -> "FrozenEncoders":
        """Return a model's frozen parts."""
        return cls(vae, None if isinstance(image_encoder, LatentEncoder) else image_encoder, tokens, hw)

    @classmethod
    def in_model(cls, pipeline: Zero123Model) -> "FrozenEncoders":
        """Those of a model."""
        return cls.of(pipeline.vae, pipeline.image_encoder, pipeline.context_tokens, pipeline.hw)

    def digest(self) -> str:
        """Return 16 hexadecimal digits of the weights, the views' size and the way views are shown to them."""
        told = {
            "format": FORMAT,
            "hw": list(self.hw),
            "background": "white",
            "vae": weights_digest(self.vae),
            "image_encoder": weights_digest(self.image_encoder) if self.image_encoder else "",
            # The preparation counts too: other pixels make other vectors from the same weights.
            "seen": [CLIP_HW, CLIP_MEAN, CLIP_STD, self.tokens] if self.image_encoder else [],
        }
        return digest_json(told)

    @torch.no_grad()
    def encode(self, rgba: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """The moments (N, C, h, w) of views uint8 RGBA (N, H, W, 4), and their vectors (N, K, E) or None."""
        device = next(self.vae.parameters()).device
        images = composited(torch.tensor(rgba, device=device))
        found = moments(self.vae, images)
        if self.image_encoder is None:
            return found.float().cpu().numpy(), None
        vectors = image_embedding(self.image_encoder, images, condition_from_moments(found), self.tokens)
        return found.float().cpu().numpy(), vectors.float().cpu().numpy()


def weights_digest(module: nn.Module) -> str:
    """SHA-256 of a module's tensors by name, in float32, for any device and memory layout."""
    digest = hashlib.sha256()
    # Sorted by name, so that the order of a state does not matter.
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        # float32, so that the same weights stored in half precision and widened have the same digest.
        digest.update(tensor.detach().float().cpu().contiguous().numpy())
    return digest.hexdigest()
