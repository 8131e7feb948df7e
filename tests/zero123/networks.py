"""A small model of 32 pixels with random weights."""

from typing import Any

from base.settings import Layer, merge, validate
from zero123.build import build_pipeline
from zero123.pipeline import Zero123Pipeline
from zero123.settings import ModelSettings

MODEL: dict[str, Any] = {
    "hw": [32, 32],
    "weights": None,
    "weights_revision": None,
    "autoencoder": "taesd",
    "image_encoder": {"kind": "latents", "embedding": 12, "channels": [8], "tokens": "one"},
    "unet": {
        "channels": [8, 16],
        "attention": [False, True],
        "layers": 1,
        "heads": 2,
        "norm_groups": 4,
        "context": 16,
        "context_in_time": False,
    },
    "prediction": "v_prediction",
    "zero_terminal_snr": True,
    "timestep_spacing": "trailing",
    "pose_slot4": "radius_difference",
    "latent_origin": "zero",
}


def settings(**changes: Any) -> ModelSettings:
    return validate(ModelSettings, Layer("test", merge(MODEL, changes)))


def small_pipeline(seed: int = 0, **changes: Any) -> Zero123Pipeline:
    """A model whose answers are not all zero, as a fresh one's are."""
    import torch

    pipeline = build_pipeline(settings(**changes), seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        weight = pipeline.unet.conv_out.weight
        weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))
    return pipeline
