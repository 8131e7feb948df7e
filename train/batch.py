"""Pairs of views as tensors on the device that trains."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from shards.stream import Pair
from train.memo import LatentMemo
from zero123.image_encoder import LatentEncoder
from zero123.latents import composited, condition_from_target, condition_latent, is_deterministic, target_latent
from zero123.pipeline import Zero123Pipeline


@dataclass(frozen=True)
class Batch:
    """N pairs: `target` and `condition` latents (N, 4, h, w), `pose` (N, 4), and the input `images` (N, 3, H, W).

    `images` is None where the image encoder reads latents.
    """

    target: Tensor
    condition: Tensor
    pose: Tensor
    images: Tensor | None


def mirrored(pair: Pair) -> Pair:
    """The pair as a mirror shows it: another object, from cameras that moved the other way around it.

    `R` and `T`, which the model is not told, are left as they are.
    """
    return replace(
        pair,
        uid=f"{pair.uid}, mirrored",
        source_rgba=pair.source_rgba[:, ::-1],
        target_rgba=pair.target_rgba[:, ::-1],
        pose=pair.pose * np.array([1.0, -1.0, 1.0, 1.0]),
    )


@torch.no_grad()
def batch_of(pipeline: Zero123Pipeline, pairs: Sequence[Pair], posterior: Tensor, memo: LatentMemo) -> Batch:
    """The batch of `pairs`; `posterior` is the noise with which a VAE samples its target latents."""
    pose = torch.from_numpy(np.stack([pair.pose for pair in pairs])).float().to(pipeline.device)
    images = None if isinstance(pipeline.image_encoder, LatentEncoder) else _images(pipeline, pairs)
    if is_deterministic(pipeline.vae):
        target = memo.latents([(pair.uid, pair.target) for pair in pairs], [pair.target_rgba for pair in pairs])
        source = memo.latents([(pair.uid, pair.source) for pair in pairs], [pair.source_rgba for pair in pairs])
        return Batch(target, condition_from_target(source), pose, images)
    images = _images(pipeline, pairs) if images is None else images
    targets = composited(_stacked([pair.target_rgba for pair in pairs], pipeline))
    target = target_latent(pipeline.vae, targets, posterior.to(pipeline.device))
    return Batch(target, condition_latent(pipeline.vae, images), pose, images)


def _images(pipeline: Zero123Pipeline, pairs: Sequence[Pair]) -> Tensor:
    return composited(_stacked([pair.source_rgba for pair in pairs], pipeline))


def _stacked(images: Sequence[np.ndarray], pipeline: Zero123Pipeline) -> Tensor:
    """uint8 travels to the device: a quarter of what floats would."""
    return torch.from_numpy(np.stack(images)).to(pipeline.device)
