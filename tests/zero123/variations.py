"""Image Variations of a few thousand random weights, as diffusers writes them."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionImageVariationPipeline, UNet2DConditionModel
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

SIDE, CLIP_SIDE = 32, 32


def write_variations(folder: Path, seed: int = 0) -> StableDiffusionImageVariationPipeline:
    """Write the folder of a pipeline of 32 pixels, with the published model's scheduler."""
    torch.manual_seed(seed)
    unet = UNet2DConditionModel(
        sample_size=SIDE // 8, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(8, 16),
        norm_num_groups=4, cross_attention_dim=12, attention_head_dim=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(4, 4, 8, 8), norm_num_groups=2, latent_channels=4, sample_size=SIDE,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )  # fmt: skip
    vision = CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=CLIP_SIDE,
        patch_size=8, projection_dim=12,
    )  # fmt: skip
    encoder = CLIPVisionModelWithProjection(vision)
    with torch.no_grad():
        # Large enough that pictures tell.
        for parameter in encoder.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
    scheduler = PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
    )
    size = {"height": CLIP_SIDE, "width": CLIP_SIDE}
    pipeline = StableDiffusionImageVariationPipeline(
        vae=vae.eval(), image_encoder=encoder.eval(), unet=unet.eval(), scheduler=scheduler, safety_checker=None,
        feature_extractor=CLIPImageProcessor(size=size, crop_size=size), requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(folder, safe_serialization=True)
    return pipeline
