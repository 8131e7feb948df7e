"""Collate pairs into tensors with their random draws, on the CPU while the device computes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Float16, Int, UInt8
from torch import Tensor

from geometry.relative import with_input_polar
from shards.pair import LatentPair, Pair
from train.draws import Draws, make_draws, timesteps_from
from train.settings import TrainSettings
from zero123.latents import is_deterministic
from zero123.pipeline import Zero123Pipeline

TENSORS = ("source", "target", "embedding", "pose", "timesteps")


P = TypeVar("P")
NO_EMBEDDING = np.zeros((0, 0), np.float16)


@dataclass(frozen=True)
class CollatedPairs:
    """N pairs as tensors.

    `source` and `target` are pictures, uint8 RGBA (N, H, W, 4), or cached moments, float16 (N, C, h, w). `embedding` is
    the image encoder's output for the source, with K = 0 if it is not cached. `pose` is in the model's convention.
    `keys` name the source and target views as (object, view number). `numbers` are the pairs' global numbers.
    """

    keys: tuple[tuple[tuple[str, int], tuple[str, int]], ...]
    numbers: tuple[int, ...]
    source: UInt8[Tensor, "N H W 4"] | Float16[Tensor, "N C h w"]
    target: UInt8[Tensor, "N H W 4"] | Float16[Tensor, "N C h w"]
    embedding: Float16[Tensor, "N K E"]
    pose: Float[Tensor, "N 4"]
    timesteps: Int[Tensor, " N"]
    draws: Draws

    @property
    def is_cached(self) -> bool:
        """Whether the views are cached moments."""
        return self.source.dtype != torch.uint8

    def __len__(self) -> int:
        return len(self.keys)

    def to(self, device: torch.device) -> "CollatedPairs":
        """Copy the pairs to a device, asynchronously from pinned memory."""
        moved = {name: getattr(self, name).to(device, non_blocking=True) for name in TENSORS}
        return replace(self, **moved, draws=self.draws.to(device))

    def pin(self) -> "CollatedPairs":
        """Copy the pairs to pinned memory, for asynchronous copies to a GPU."""
        held = {name: getattr(self, name).pin_memory() for name in TENSORS}
        return replace(self, **held, draws=self.draws.pin())

    def tensors(self) -> list[Tensor]:
        """List the tensors of the pairs and of their draws."""
        return [getattr(self, name) for name in TENSORS] + self.draws.tensors()

    def describe(self, rows: Sequence[int]) -> list[str]:
        """Describe some of the pairs for a person."""
        return [
            f"{self.keys[row][0][0]} {self.keys[row][0][1]}→{self.keys[row][1][1]} (number {self.numbers[row]})"
            for row in rows
        ]


def split_batches(pairs: Iterator[P], count: int, at_once: int) -> Iterator[list[P]]:
    """Split pairs into the parts of successive batches: `count` pairs for each batch, at most `at_once` in a part."""
    while True:
        for start in range(0, count, at_once):
            # The last part may be smaller, so `batch` need not be a multiple of `images_at_once`.
            yield list(islice(pairs, min(at_once, count - start)))


def collate(pairs: Sequence[Pair | LatentPair], pipeline: Zero123Pipeline, settings: TrainSettings) -> CollatedPairs:
    """Collate pairs into tensors. Pictures are mirrored according to their draws."""
    numbers = tuple(pair.number for pair in pairs)
    posterior = not is_deterministic(pipeline.vae)
    # On the CPU: generators of devices differ, and a run may resume on another device.
    draws = make_draws(settings.seed, numbers, pipeline.latent_shape, posterior=posterior)
    flips = (draws.mirror < settings.mirror).tolist()
    seen: list[Pair | LatentPair] = [
        mirror_pair(pair) if flip and isinstance(pair, Pair) else pair for pair, flip in zip(pairs, flips, strict=True)
    ]
    views = "latents" if isinstance(seen[0], LatentPair) else "rgba"
    last = settings.picture_loss.share if settings.picture_loss else 0.0
    pose = np.stack([pair.pose for pair in seen])
    # Stable Zero123 has the input's polar angle in this slot, and shards store the radius difference.
    if pipeline.pose_slot4 == "input_polar":
        pose = with_input_polar(pose, [pair.source_polar_rad for pair in seen])
    return CollatedPairs(
        keys=tuple(((pair.uid, pair.source), (pair.uid, pair.target)) for pair in seen),
        numbers=numbers,
        source=_stacked([getattr(pair, f"source_{views}") for pair in seen]),
        target=_stacked([getattr(pair, f"target_{views}") for pair in seen]),
        embedding=_stacked([getattr(pair, "embedding", NO_EMBEDDING) for pair in seen]),
        pose=torch.from_numpy(pose).float(),
        timesteps=timesteps_from(draws.time, len(pipeline.schedule.alphas_cumprod), settings.timestep_power, last),
        draws=draws,
    )


def _stacked(arrays: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(arrays))


def mirror_pair(pair: Pair) -> Pair:
    """Mirror a pair: it shows another object, with the camera moving the other way around.

    `R` and `T` keep their values, because the model does not see them.
    """
    return replace(
        pair,
        # The memo of latents knows views by uid, and a mirrored view has latents of its own.
        uid=f"{pair.uid}, mirrored",
        source_rgba=pair.source_rgba[:, ::-1],
        target_rgba=pair.target_rgba[:, ::-1],
        # The sine of the azimuth difference changes its sign; cosine, polar difference and radius difference do not.
        pose=pair.pose * np.array([1.0, -1.0, 1.0, 1.0]),
    )
