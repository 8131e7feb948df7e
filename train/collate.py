"""Pairs as tensors, with what chance decides for each: made beside the step, on the CPU."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

import numpy as np
import torch
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
    """N pairs: `source` and `target` views uint8 RGBA (N, H, W, 4), `pose` (N, 4) as the model is told it.

    Of cached pairs the views are moments float16 (N, C, h, w); `embedding` (N, K, E) is what the image encoder says of
    the source, K = 0 where that is not cached. `keys` name each view, (object, view number) of source and target;
    `numbers` are the pairs' global numbers; `timesteps` (N,) and `draws` are what chance decided.
    """

    keys: tuple[tuple[tuple[str, int], tuple[str, int]], ...]
    numbers: tuple[int, ...]
    source: Tensor
    target: Tensor
    embedding: Tensor
    pose: Tensor
    timesteps: Tensor
    draws: Draws

    @property
    def is_cached(self) -> bool:
        """True when the views were encoded before training."""
        return self.source.dtype != torch.uint8

    def __len__(self) -> int:
        return len(self.keys)

    def to(self, device: torch.device) -> "CollatedPairs":
        """The same pairs on a device; what lies in pinned memory travels while the CPU goes on."""
        moved = {name: getattr(self, name).to(device, non_blocking=True) for name in TENSORS}
        return replace(self, **moved, draws=self.draws.to(device))

    def pin(self) -> "CollatedPairs":
        """The same pairs in memory from which a GPU copies by itself."""
        held = {name: getattr(self, name).pin_memory() for name in TENSORS}
        return replace(self, **held, draws=self.draws.pin())

    def tensors(self) -> list[Tensor]:
        """Every tensor of the pairs and of their draws."""
        return [getattr(self, name) for name in TENSORS] + self.draws.tensors()

    def describe(self, which: Sequence[int]) -> list[str]:
        """Some of the pairs for a person to read."""
        return [
            f"{self.keys[row][0][0]} {self.keys[row][0][1]}→{self.keys[row][1][1]} (number {self.numbers[row]})"
            for row in which
        ]


def split_batches(pairs: Iterator[P], count: int, at_once: int) -> Iterator[list[P]]:
    """The pairs of one step after another, `count` each, at most `at_once` at a time."""
    while True:
        for start in range(0, count, at_once):
            yield list(islice(pairs, min(at_once, count - start)))


def collate(pairs: Sequence[Pair | LatentPair], pipeline: Zero123Pipeline, settings: TrainSettings) -> CollatedPairs:
    """The pairs as tensors; pictures are mirrored as their draws have it."""
    numbers = tuple(pair.number for pair in pairs)
    posterior = not is_deterministic(pipeline.vae)
    draws = make_draws(settings.seed, numbers, pipeline.latent_shape, posterior=posterior)
    flips = (draws.mirror < settings.mirror).tolist()
    seen: list[Pair | LatentPair] = [
        mirror_pair(pair) if flip and isinstance(pair, Pair) else pair for pair, flip in zip(pairs, flips, strict=True)
    ]
    views = "latents" if isinstance(seen[0], LatentPair) else "rgba"
    pose = np.stack([pair.pose for pair in seen])
    if pipeline.pose_slot4 == "input_polar":
        pose = with_input_polar(pose, [pair.source_polar_rad for pair in seen])
    return CollatedPairs(
        keys=tuple(((pair.uid, pair.source), (pair.uid, pair.target)) for pair in seen),
        numbers=numbers,
        source=_stacked([getattr(pair, f"source_{views}") for pair in seen]),
        target=_stacked([getattr(pair, f"target_{views}") for pair in seen]),
        embedding=_stacked([getattr(pair, "embedding", NO_EMBEDDING) for pair in seen]),
        pose=torch.from_numpy(pose).float(),
        timesteps=timesteps_from(draws.time, len(pipeline.schedule.alphas_cumprod), settings.timestep_power),
        draws=draws,
    )


def _stacked(arrays: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(arrays))


def mirror_pair(pair: Pair) -> Pair:
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
