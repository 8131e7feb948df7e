"""One step of the optimiser on one global batch, shared between the ranks."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from train.batch import Batch, make_batch
from train.collate import CollatedPairs
from train.compute import autocast
from train.loss import Objective, sum_by_timestep
from train.memo import LatentMemo
from train.settings import TrainSettings
from train.state import Learner
from train.world import World
from zero123.pipeline import Zero123Pipeline

BUCKETS = 4
"""The log tells the loss of so many equal parts of the schedule, from clean to noisy."""
NAMED = 8


@dataclass(frozen=True)
class Step:
    """What a step found: its mean `loss`, the gradient's `norm` and the losses by part of the schedule.

    `sums` and `counts` (BUCKETS,) are over the global batch. `bad` names the pairs of a step that was not taken.
    """

    loss: float
    norm: float
    sums: tuple[float, ...]
    counts: tuple[float, ...]
    bad: tuple[str, ...] = ()


PhaseTimer = Callable[[str], AbstractContextManager[None]]
"""Is entered around each phase of a step: encode, forward, backward, optimiser."""


def no_timer(_phase: str) -> AbstractContextManager[None]:
    """Measures nothing."""
    return nullcontext()


class Stepper:
    """Takes steps: forward and backward over the parts of a batch, then the optimiser and the averages."""

    def __init__(
        self,
        pipeline: Zero123Pipeline,
        learner: Learner,
        settings: TrainSettings,
        world: World,
        clock: PhaseTimer = no_timer,
    ) -> None:
        self.pipeline, self.learner, self.settings, self.world = pipeline, learner, settings, world
        self.clock = clock
        self.memo = LatentMemo(pipeline.vae, settings.latent_memo_mb << 20)
        for parameter in learner.parameters.values():
            parameter.requires_grad = True
        self.objective: Any = Objective(pipeline, settings)
        if world.size > 1:
            place = [world.device] if world.device.type == "cuda" else None
            self.objective = DistributedDataParallel(self.objective, place, gradient_as_bucket_view=True)

    def take(self, parts: Iterator[CollatedPairs], rate: float, steps: int, largest_norm: float = math.inf) -> Step:
        """Step number `steps` (from 1) at learning rate `rate`, on as many parts as this rank's share has.

        It is bad where its loss or gradient is no number, or the gradient's norm is above `largest_norm`.
        """
        some, each = self._gradients(parts)
        found = self._measured(some, each, largest_norm)
        self._set_rate(rate)
        with self.clock("optimiser"):
            if not found.bad:
                self.learner.optimiser.step()
                self.learner.ema.update(steps)
            self.learner.optimiser.zero_grad(set_to_none=True)
        return found

    def make_batch(self, part: CollatedPairs) -> Batch:
        """What the network sees of a part."""
        return make_batch(self.pipeline, part, self.memo, self.settings.random_background)

    def _gradients(self, parts: Iterator[CollatedPairs]) -> tuple[list[CollatedPairs], Tensor]:
        """Add up this rank's share of the gradient; its parts and the loss of each of its pairs."""
        settings, share = self.settings, self.settings.batch // self.world.size
        some: list[CollatedPairs] = []
        each: list[Tensor] = []
        while (seen := sum(map(len, some))) < share:
            part = next(parts)
            some.append(part)
            with self._apart(last=seen + len(part) == share):
                with autocast(self.world.device, settings.compute):
                    with self.clock("encode"):
                        batch = self.make_batch(part)
                    with self.clock("forward"):
                        losses = self.objective(batch, part.draws)
                with self.clock("backward"):
                    # Ranks average their gradients; the loss is divided by this rank's share alone.
                    (losses.sum() / share).backward()
            each.append(losses.detach())
        return some, torch.cat(each)

    def _apart(self, *, last: bool) -> AbstractContextManager[None]:
        """Ranks exchange gradients with the last part alone."""
        alone = self.world.size == 1 or last
        return nullcontext() if alone else self.objective.no_sync()  # type: ignore[no-any-return]

    def _measured(self, some: Sequence[CollatedPairs], each: Tensor, largest_norm: float) -> Step:
        settings, parameters = self.settings, list(self.learner.parameters.values())
        timesteps = torch.cat([part.timesteps for part in some])
        sums, counts = sum_by_timestep(each, timesteps, len(self.pipeline.schedule.alphas_cumprod), BUCKETS)
        limit = settings.optimiser.clip_norm or float("inf")
        norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
        told = self.world.sum(torch.cat([sums, counts]))
        *values, size = torch.cat([told, norm[None]]).tolist()
        loss = sum(values[:BUCKETS]) / settings.batch
        good = math.isfinite(loss) and math.isfinite(size) and size <= largest_norm
        bad = () if good else self._named(some, each)
        return Step(loss, size, tuple(values[:BUCKETS]), tuple(values[BUCKETS:]), bad)

    def _named(self, some: Sequence[CollatedPairs], each: Tensor) -> tuple[str, ...]:
        """The pairs of the global batch whose losses are no numbers, or else the largest."""
        names = [name for part in some for name in part.describe(range(len(part)))]
        worth = torch.where(torch.isfinite(each), each, float("inf")).tolist()
        worst = [pair for pairs in self.world.gather(list(zip(worth, names, strict=True))) for pair in pairs]
        wrong = [name for value, name in worst if value == float("inf")]
        return tuple(wrong or [name for _, name in sorted(worst, reverse=True)])[:NAMED]

    def _set_rate(self, rate: float) -> None:
        for group in self.learner.optimiser.param_groups:
            group["lr"] = rate * group["factor"]
