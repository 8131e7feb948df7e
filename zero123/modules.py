"""The network's parts as the settings describe them, with random weights."""

from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from zero123.image_encoder import ImageEncoder, LatentEncoder
from zero123.latents import SD_SCALE
from zero123.settings import ModelSettings, UNetSettings

LATENT_CHANNELS = 4


def unet_config(settings: UNetSettings, latent_side: int, in_channels: int = 2 * LATENT_CHANNELS) -> dict[str, Any]:
    """The settings as arguments of diffusers' UNet2DConditionModel; `attention_head_dim` there counts heads."""
    kinds = ["CrossAttn" if attends else "" for attends in settings.attention]
    config: dict[str, Any] = {
        "sample_size": latent_side,
        "in_channels": in_channels,
        "out_channels": LATENT_CHANNELS,
        "block_out_channels": settings.channels,
        "down_block_types": tuple(f"{kind}DownBlock2D" for kind in kinds),
        "up_block_types": tuple(f"{kind}UpBlock2D" for kind in reversed(kinds)),
        "layers_per_block": settings.layers,
        "attention_head_dim": settings.heads,
        "norm_num_groups": settings.norm_groups,
        "cross_attention_dim": settings.context,
    }
    if settings.context_in_time:
        config |= {"class_embed_type": "projection", "projection_class_embeddings_input_dim": settings.context}
    return config


def new_unet(settings: ModelSettings) -> UNet2DConditionModel:
    """A UNet of 8 input channels, noisy target first; its first answers are 0 and conditions enter at unit variance."""
    unet = UNet2DConditionModel(**unet_config(settings.unet, settings.hw[0] // 8))
    with torch.no_grad():
        # Condition latents are unscaled, so much larger than the noisy target.
        unet.conv_in.weight[:, LATENT_CHANNELS:] *= SD_SCALE
        nn.init.zeros_(unet.conv_out.weight)
        nn.init.zeros_(unet.conv_out.bias)
    return unet


def new_image_encoder(settings: ModelSettings) -> ImageEncoder:
    """The image encoder: CLIP ViT-L/14's vision tower (frozen, so of no use untrained), or a small network to train."""
    wanted = settings.image_encoder
    if wanted.kind == "latents":
        hw = (settings.hw[0] // 8, settings.hw[1] // 8)
        patches = wanted.tokens == "patches"
        return LatentEncoder(wanted.channels, wanted.embedding, hw, patches=patches, positions=patches)
    return CLIPVisionModelWithProjection(CLIPVisionConfig(**clip_l14_config(wanted.embedding)))


def clip_l14_config(embedding: int) -> dict[str, Any]:
    """OpenAI's CLIP ViT-L/14 vision tower as transformers describes it."""
    return {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": 224,
        "patch_size": 14,
        "projection_dim": embedding,
        "hidden_act": "quick_gelu",
    }


def new_sd_vae() -> AutoencoderKL:
    """Stable Diffusion's autoencoder with random weights."""
    return AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=LATENT_CHANNELS,
        sample_size=512,
    )


def widen_conv_in(unet: UNet2DConditionModel) -> None:
    """Give a 4-channel UNet four more input channels, in place, for condition latents; at first they change nothing.

    The new weights are 0. The configuration is updated, since the saved model could not be loaded otherwise.
    """
    old = unet.conv_in
    new = nn.Conv2d(
        2 * LATENT_CHANNELS, old.out_channels, old.kernel_size, padding=old.padding, dtype=old.weight.dtype
    ).to(old.weight.device)
    with torch.no_grad():
        new.weight.zero_()
        # The old channels come first, as in `predict`, so the network answers as before.
        new.weight[:, :LATENT_CHANNELS] = old.weight
        new.bias.copy_(old.bias)  # type: ignore[union-attr]
    unet.conv_in = new
    unet.register_to_config(in_channels=2 * LATENT_CHANNELS)
