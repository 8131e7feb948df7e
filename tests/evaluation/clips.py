"""CLIPs of a few thousand random weights, as transformers writes them."""

from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig, CLIPVisionModelWithProjection

SIDE_PX = 32
VISION = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "image_size": SIDE_PX, "patch_size": 8, "projection_dim": 12,
}  # fmt: skip
TEXT = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 50,
    "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1,
}  # fmt: skip


def write_image_half(folder: Path, seed: int = 0) -> CLIPVisionModelWithProjection:
    """An image encoder alone, whose weights are large enough to tell pictures apart."""
    generator = torch.Generator().manual_seed(seed)
    model = CLIPVisionModelWithProjection(CLIPVisionConfig(**VISION)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    model.save_pretrained(folder)
    return model


def write_whole(folder: Path, image_half: CLIPVisionModelWithProjection) -> None:
    """A CLIP of text and images with this image half."""
    whole = CLIPModel(CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=VISION["projection_dim"]))
    whole.load_state_dict(image_half.state_dict(), strict=False)
    whole.save_pretrained(folder)
