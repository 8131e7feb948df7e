"""Make the network's input from pairs: latents, poses and images on the training device."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
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
    """N pairs as the network sees them.

    `images` are the input views, None if the image encoder reads latents. `embedding` is the output of a frozen image
    encoder, if it is cached. `pictures` are the target views of the M pairs at the last timestep, for a loss in pixels.
    """

    target: Float[Tensor, "N C h w"]
    condition: Float[Tensor, "N C h w"]
    pose: Float[Tensor, "N 4"]
    timesteps: Int[Tensor, " N"]
    images: Float[Tensor, "N 3 H W"] | None
    embedding: Float[Tensor, "N K E"] | None = None
    pictures: Float[Tensor, "M 3 H W"] | None = None


@torch.no_grad()
def make_batch(
    pipeline: Zero123Pipeline,
    pairs: CollatedPairs,
    memo: LatentMemo,
    random_background: float,
    *,
    keep_pictures: bool = False,
) -> Batch:
    """Make the batch of pairs on the device. `random_background` is the chance of a colour behind a pair, not white.

    With `keep_pictures` the batch has the pictures of targets at the last timestep.
    """
    if pairs.is_cached:
        return _batch_of_latents(pairs)
    # Both views of a pair get the same colour: otherwise the network would have to guess the target's.
    colours = background_colours(pairs.draws, random_background) if random_background else None
    reads_images = not isinstance(pipeline.image_encoder, LatentEncoder)
    last = pipeline.schedule.is_last(pairs.timesteps) if keep_pictures else None
    # On white, a deterministic encoder gives a view the same latents every time.
    if is_deterministic(pipeline.vae) and colours is None and memo.limit_bytes:
        source = memo.latents([key for key, _ in pairs.keys], pairs.source)
        target = memo.latents([key for _, key in pairs.keys], pairs.target)
        images = composited(pairs.source) if reads_images else None
        pictures = None if last is None else composited(pairs.target[last])
        return Batch(target, condition_from_target(source), pairs.pose, pairs.timesteps, images, pictures=pictures)
    images = composited(pairs.source, 1.0 if colours is None else colours)
    targets = composited(pairs.target, 1.0 if colours is None else colours)
    target = target_latent(pipeline.vae, targets, pairs.draws.posterior).float()
    condition = condition_latent(pipeline.vae, images).float()
    pictures = None if last is None else targets[last]
    images_read = images if reads_images else None
    return Batch(target, condition, pairs.pose, pairs.timesteps, images_read, pictures=pictures)


def _batch_of_latents(pairs: CollatedPairs) -> Batch:
    """Make the batch from cached moments. It equals the encoders' output up to the rounding of float16."""
    target = target_from_moments(pairs.target.float(), pairs.draws.posterior)
    condition = condition_from_moments(pairs.source.float())
    # Trained image encoders cannot be cached, so their latents come with no vectors.
    embedding = pairs.embedding.float() if pairs.embedding.shape[1] else None
    return Batch(target, condition, pairs.pose, pairs.timesteps, None, embedding)


def background_colours(draws: Draws, chance: float) -> Float[Tensor, "N 3 1 1"]:
    """Return the colour in [0, 1] behind each pair: white, or its drawn colour with probability `chance`."""
    # Always drawn, so that another chance leaves all other draws as they are.
    coloured = (draws.coloured < chance)[:, None]
    return torch.where(coloured, draws.colour, torch.ones_like(draws.colour))[:, :, None, None]
