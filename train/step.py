"""A step of the optimiser on a global batch, shared among the ranks."""

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
"""The number of equal parts of the schedule with a loss of their own in the log, clean to noisy."""
NAMED = 8
"""The most pairs that the report of a bad step names."""


@dataclass(frozen=True)
class Step:
    """The result of a step: its mean `loss`, the gradient's `norm`, and the losses by part of the schedule.

    `sums` and `counts` (BUCKETS,) are over the global batch. `bad` names the pairs of a skipped step.
    """

    loss: float
    norm: float
    sums: tuple[float, ...]
    counts: tuple[float, ...]
    bad: tuple[str, ...] = ()


PhaseTimer = Callable[[str], AbstractContextManager[None]]
"""Makes a context for each phase of a step: encode, forward, backward, optimiser."""


def no_timer(_phase: str) -> AbstractContextManager[None]:
    """Measure nothing."""
    return nullcontext()


class Stepper:
    """Takes steps: forward and backward passes over the parts of a batch, then the optimiser and the averages."""

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
            devices = [world.device] if world.device.type == "cuda" else None
            # Gradients as views of the buckets: separate copies would take as much memory as the weights.
            self.objective = DistributedDataParallel(self.objective, devices, gradient_as_bucket_view=True)

    def take(self, parts: Iterator[CollatedPairs], rate: float, steps: int, largest_norm: float = math.inf) -> Step:
        """Take step number `steps` (from 1) at learning rate `rate`, on the parts of this rank's share of a batch.

        The step is bad, and changes no weights, if its loss or gradient is not finite or the gradient's norm is above
        `largest_norm`.
        """
        some, each = self._gradients(parts)
        # Bad or not, the result is the same on every rank, because it comes from sums over all ranks.
        found = self._measure(some, each, largest_norm)
        self._set_rate(rate)
        with self.clock("optimiser"):
            if not found.bad:
                self.learner.optimiser.step()
                self.learner.ema.update(steps)
            # After a bad step too: its gradient must not add to the next.
            self.learner.optimiser.zero_grad(set_to_none=True)
        return found

    def make_batch(self, part: CollatedPairs) -> Batch:
        """Make the network's input from a part."""
        keep_pictures = self.settings.picture_loss is not None
        return make_batch(self.pipeline, part, self.memo, self.settings.random_background, keep_pictures=keep_pictures)

    def _gradients(self, parts: Iterator[CollatedPairs]) -> tuple[list[CollatedPairs], Tensor]:
        """Accumulate this rank's share of the gradient. Returns its parts and the loss of each of its pairs."""
        settings, share = self.settings, self.settings.batch // self.world.size
        some: list[CollatedPairs] = []
        each: list[Tensor] = []
        while (seen := sum(map(len, some))) < share:
            part = next(parts)
            some.append(part)
            with self._sync_context(last=seen + len(part) == share):
                # Parts are encoded and learnt from in turn, so that only a part's activations are in memory.
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

    def _sync_context(self, *, last: bool) -> AbstractContextManager[None]:
        """Let ranks exchange gradients only with the last part of a batch."""
        alone = self.world.size == 1 or last
        return nullcontext() if alone else self.objective.no_sync()  # type: ignore[no-any-return]

    def _measure(self, some: Sequence[CollatedPairs], each: Tensor, largest_norm: float) -> Step:
        settings, parameters = self.settings, list(self.learner.parameters.values())
        timesteps = torch.cat([part.timesteps for part in some])
        sums, counts = sum_by_timestep(each, timesteps, len(self.pipeline.schedule.alphas_cumprod), BUCKETS)
        limit = settings.optimiser.clip_norm or float("inf")
        # With an infinite limit it only measures.
        norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
        total = self.world.sum(torch.cat([sums, counts]))
        *values, size = torch.cat([total, norm[None]]).tolist()  # a single copy from the device
        loss = sum(values[:BUCKETS]) / settings.batch
        good = math.isfinite(loss) and math.isfinite(size) and size <= largest_norm
        bad = () if good else self._name_worst(some, each)
        return Step(loss, size, tuple(values[:BUCKETS]), tuple(values[BUCKETS:]), bad)

    def _name_worst(self, some: Sequence[CollatedPairs], each: Tensor) -> tuple[str, ...]:
        """Name the pairs of the global batch with infinite or undefined losses, or else with the largest."""
        names = [name for part in some for name in part.describe(range(len(part)))]
        # NaN compares with nothing, so it would be sorted anywhere.
        worth = torch.where(torch.isfinite(each), each, float("inf")).tolist()
        worst = [pair for pairs in self.world.gather(list(zip(worth, names, strict=True))) for pair in pairs]
        wrong = [name for value, name in worst if value == float("inf")]
        return tuple(wrong or [name for _, name in sorted(worst, reverse=True)])[:NAMED]

    def _set_rate(self, rate: float) -> None:
        for group in self.learner.optimiser.param_groups:
            group["lr"] = rate * group["factor"]
