"""AdamW, with a learning rate by the number of images."""

import math
from collections.abc import Mapping

import torch
from torch import nn

from train.settings import OptimiserSettings
from zero123.attention import find_idle_parameters
from zero123.model import trained_parts
from zero123.pipeline import Zero123Pipeline

PROJECTION = "cc_projection."


def trained_parameters(pipeline: Zero123Pipeline) -> dict[str, nn.Parameter]:
    """Name the trained parameters, without those that have no influence with a single context token."""
    # They have no gradient, and DistributedDataParallel expects a gradient for every trained parameter.
    idle = {f"unet.{name}" for name in find_idle_parameters(pipeline.unet) if pipeline.context_tokens == "one"}
    named = {
        f"{part}.{name}": parameter
        for part, module in trained_parts(pipeline).items()
        for name, parameter in module.named_parameters()
    }
    return {name: parameter for name, parameter in named.items() if name not in idle}


def make_optimiser(parameters: Mapping[str, nn.Parameter], settings: OptimiserSettings) -> torch.optim.AdamW:
    """Make AdamW with two groups: the projection, and all other parameters."""
    projection = [parameter for name, parameter in parameters.items() if name.startswith(PROJECTION)]
    others = [parameter for name, parameter in parameters.items() if not name.startswith(PROJECTION)]
    return torch.optim.AdamW(
        # Two groups, because the original trains the projection ten times as fast.
        [{"params": others, "factor": 1.0}, {"params": projection, "factor": settings.projection_factor}],
        lr=settings.learning_rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        fused=True,
    )


def learning_rate(settings: OptimiserSettings, images: int, total: int) -> float:
    """Return the learning rate of the step after `images` of `total` images."""
    # Plus one, so that the first step has a rate above 0.
    warm = min(1.0, (images + 1) / settings.warmup_images) if settings.warmup_images else 1.0
    fade = 0.5 * (1.0 + math.cos(math.pi * min(images / total, 1.0))) if settings.decay == "cosine" else 1.0
    return settings.learning_rate * warm * fade
