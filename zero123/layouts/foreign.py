"""What the layouts of others can hold: the paper's architecture, and of what a model means not all."""

from typing import Any

import torch
from diffusers import AutoencoderKL
from transformers import CLIPVisionModelWithProjection

from base.digest import canonical_json
from base.errors import UsageError
from zero123.model import Zero123Model
from zero123.schedule import Schedule, scheduler_config

STEPS = 50
"""A usual number of a sampler's steps."""


def check_architecture(pipeline: Zero123Model) -> None:
    """Raise UsageError for a model with parts or ways without a name in these layouts."""
    if not isinstance(pipeline.vae, AutoencoderKL) or not isinstance(
        pipeline.image_encoder, CLIPVisionModelWithProjection
    ):
        raise UsageError("expected a model with Stable Diffusion's autoencoder and CLIP, got other parts")
    widths = pipeline.cc_projection.config
    for setting, expected, got in (
        ("latent_origin", "zero", pipeline.latent_origin),
        ("image_encoder.tokens", "one", pipeline.context_tokens),
        ("unet.context_in_time", False, bool(pipeline.unet.config.get("class_embed_type"))),
        ("unet.context", widths.embedding, widths.context),
    ):
        if got != expected:
            raise UsageError(f"expected a model of the paper's architecture, {setting} {expected}, got {got}")


def check_square(pipeline: Zero123Model) -> None:
    """Raise UsageError for views of another side than a folder can state, which is the side of the UNet's latents."""
    side = 8 * int(pipeline.unet.config.sample_size)
    if tuple(pipeline.hw) != (side, side):
        raise UsageError(f"expected a model of {side} × {side} pixels, got {pipeline.hw[0]} × {pipeline.hw[1]}")


def check_schedule(pipeline: Zero123Model) -> None:
    """Raise UsageError for a noise schedule other than Stable Diffusion's: a `.ckpt` cannot state it."""
    expected, got = Schedule.from_config(_schedule(pipeline)), pipeline.schedule
    if not torch.equal(expected.alphas_cumprod, got.alphas_cumprod):
        raise UsageError("expected a model of Stable Diffusion's noise schedule, got other betas or timesteps")
    for what, ours, theirs in (
        ("last timestep", expected.timesteps(STEPS)[-1], got.timesteps(STEPS)[-1]),
        ("ᾱ without noise", expected.final, got.final),
    ):
        if ours != theirs:
            raise UsageError(f"expected a sampler whose {what} is {ours:g}, as a .ckpt is read, got {theirs:g}")


def flags_lost_in_folder(pipeline: Zero123Model) -> list[str]:
    """Return the flags for reading a foreign folder rightly; the folder itself does not state them."""
    return ["--pose-slot4", pipeline.pose_slot4]


def flags_lost_in_ldm(pipeline: Zero123Model) -> list[str]:
    """Return the flags for reading the original's `.ckpt` rightly; neither names nor shapes in it state them."""
    schedule, unet = _schedule(pipeline), pipeline.unet.config
    values = {
        "hw": list(pipeline.hw),
        "unet.heads": unet.attention_head_dim,
        "unet.norm_groups": unet.norm_num_groups,
        "prediction": schedule["prediction_type"],
        "zero_terminal_snr": schedule["rescale_betas_zero_snr"],
        "timestep_spacing": schedule["timestep_spacing"],
    }
    texts = ((name, value if isinstance(value, str) else canonical_json(value)) for name, value in values.items())
    return [
        *flags_lost_in_folder(pipeline),
        *(word for name, text in texts for word in ("--set", f"model.{name}={text}")),
    ]


def _schedule(pipeline: Zero123Model) -> dict[str, Any]:
    """What the settings can say of a model's schedule."""
    return scheduler_config(
        prediction=pipeline.schedule.prediction,
        zero_terminal_snr=bool(pipeline.scheduler.config.get("rescale_betas_zero_snr")),
        spacing=pipeline.schedule.spacing,
    )
