"""What the network sees of some pairs: latents, poses and images on the device that trains."""

from dataclasses import dataclass

import torch
from torch import Tensor

from train.collate import CollatedPairs
from train.draws import Draws
from train.memo import LatentMemo
from zero123.image_encoder import LatentEncoder
from zero123.latents import (
    composited,
    condition_from_moments,
    condition_from_target,
    condition_latent,
    is_deterministic,
    target_from_moments,
    target_latent,
)
from zero123.pipeline import Zero123Pipeline


@dataclass(frozen=True)
class Batch:
    """N pairs: `target` and `condition` latents (N, 4, h, w), `pose` (N, 4), `timesteps` (N,).

    `images` (N, 3, H, W) are the inputs, None where the image encoder reads latents; `embedding` (N, K, E) is what a
    frozen image encoder made of them, where that is known already.
    """

    target: Tensor
    condition: Tensor
    pose: Tensor
    timesteps: Tensor
    images: Tensor | None
    embedding: Tensor | None = None


@torch.no_grad()
def make_batch(pipeline: Zero123Pipeline, pairs: CollatedPairs, memo: LatentMemo, random_background: float) -> Batch:
    """The batch of pairs that lie on the device; `random_background` is the chance of a colour instead of white."""
    if pairs.is_cached:
        return _batch_of_latents(pairs)
    colours = background_colours(pairs.draws, random_background) if random_background else None
    reads_images = not isinstance(pipeline.image_encoder, LatentEncoder)
    if is_deterministic(pipeline.vae) and colours is None and memo.limit_bytes:
        source = memo.latents([key for key, _ in pairs.keys], pairs.source)
        target = memo.latents([key for _, key in pairs.keys], pairs.target)
        images = composited(pairs.source) if reads_images else None
        return Batch(target, condition_from_target(source), pairs.pose, pairs.timesteps, images)
    images = composited(pairs.source, 1.0 if colours is None else colours)
    targets = composited(pairs.target, 1.0 if colours is None else colours)
    target = target_latent(pipeline.vae, targets, pairs.draws.posterior).float()
    condition = condition_latent(pipeline.vae, images).float()
    return Batch(target, condition, pairs.pose, pairs.timesteps, images if reads_images else None)


def _batch_of_latents(pairs: CollatedPairs) -> Batch:
    """The batch of pairs whose views are cached moments: what encoding them would give, but for float16's rounding."""
    target = target_from_moments(pairs.target.float(), pairs.draws.posterior)
    condition = condition_from_moments(pairs.source.float())
    embedding = pairs.embedding.float() if pairs.embedding.shape[1] else None
    return Batch(target, condition, pairs.pose, pairs.timesteps, None, embedding)


def background_colours(draws: Draws, chance: float) -> Tensor:
    """The colour (N, 3, 1, 1) in [0, 1] behind each pair's views: white, or with `chance` the one drawn for it."""
    coloured = (draws.coloured < chance)[:, None]
    return torch.where(coloured, draws.colour, torch.ones_like(draws.colour))[:, :, None, None]
