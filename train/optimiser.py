"""AdamW, with a learning rate by the number of images."""

import math
from collections.abc import Mapping

import torch
from torch import nn

from train.settings import OptimiserSettings

PROJECTION = "cc_projection."


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
