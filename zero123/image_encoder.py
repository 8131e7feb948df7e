"""Image encoders: the input view as a vector, or as a vector for each patch of it."""

from typing import Literal, TypeAlias

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn.functional import interpolate
from transformers import CLIPVisionModelWithProjection

from zero123.latents import SD_SCALE

CLIP_HW = (224, 224)
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class LatentEncoder(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """A small convolutional network over condition latents (N, 4, h, w); its output is (N, tokens, embedding).

    There is a single token, or with `patches` a token for each cell of the last layer. With `positions` each patch's
    token also carries a learned vector for its place in the picture, otherwise unknown to attention.
    """

    @register_to_config
    def __init__(
        self,
        channels: tuple[int, ...] = (64, 128),
        embedding: int = 256,
        hw: tuple[int, int] = (16, 16),
        patches: bool = False,
        positions: bool = False,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 4
        for out in channels:
            layers += [nn.Conv2d(width, out, 3, stride=2, padding=1), nn.GroupNorm(8, out), nn.SiLU()]
            width = out
        self.layers = nn.Sequential(*layers)
        cells = (hw[0] >> len(channels)) * (hw[1] >> len(channels))
        self.out = nn.Linear(width if patches else width * cells, embedding)
        # Its name is part of every checkpoint.
        self.place_vectors = nn.Parameter(0.1 * torch.randn(cells, embedding)) if positions else None

    def forward(self, latents: Tensor) -> Tensor:
        """Return the embeddings of condition latents, after scaling them to about unit variance."""
        cells = self.layers(latents * SD_SCALE)
        tokens = cells.flatten(2).mT if self.config.patches else cells.flatten(1)[:, None]
        embedded: Tensor = self.out(tokens)
        return embedded if self.place_vectors is None else embedded + self.place_vectors


ContextTokens = Literal["one", "patches"]
ImageEncoder: TypeAlias = CLIPVisionModelWithProjection | LatentEncoder


def clip_pixels(images: Tensor) -> Tensor:
    """Images (N, 3, H, W) in [−1, 1] as CLIP wants them: bicubic to 224², corners aligned, not antialiased.

    The original network was trained on exactly this resize; CLIP's own preprocessing differs by up to .2.
    """
    resized = interpolate(
        images if images.dtype == torch.float64 else images.float(), CLIP_HW, mode="bicubic", align_corners=True
    )
    mean = torch.tensor(CLIP_MEAN, device=images.device)[:, None, None]
    std = torch.tensor(CLIP_STD, device=images.device)[:, None, None]
    return ((resized + 1.0) / 2.0 - mean) / std


def image_embedding(
    encoder: ImageEncoder, images: Tensor | None, condition: Tensor, tokens: ContextTokens = "one"
) -> Tensor:
    """The embeddings (N, K, E) of input views: from `images` for CLIP, from their `condition` latents otherwise."""
    if isinstance(encoder, LatentEncoder):
        return encoder(condition.to(encoder.dtype))  # type: ignore[no-any-return]
    if images is None:
        raise ValueError("expected images for an encoder of pixels, got nothing")
    pixels = clip_pixels(images).to(encoder.dtype)
    if tokens == "one":
        return encoder(pixel_values=pixels).image_embeds[:, None]  # type: ignore[no-any-return]
    hidden = encoder.vision_model(pixel_values=pixels).last_hidden_state
    return encoder.visual_projection(encoder.vision_model.post_layernorm(hidden))  # type: ignore[no-any-return]
