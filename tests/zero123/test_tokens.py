"""CLIP's patch tokens: the first is the embedding that the original uses."""

import torch
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from zero123.image_encoder import image_embedding


@torch.no_grad()
def test_the_first_of_clips_tokens_is_its_embedding() -> None:
    torch.manual_seed(0)
    clip = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=224,
            patch_size=56, projection_dim=12,
        )
    ).eval()  # fmt: skip
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    one, patches = (image_embedding(clip, images, torch.zeros(2, 4, 8, 8), tokens) for tokens in ("one", "patches"))
    assert (one.shape, patches.shape) == ((2, 1, 12), (2, 17, 12))
    torch.testing.assert_close(patches[:, :1], one)
