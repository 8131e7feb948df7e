"""Measure a training step: ours beside a plain step on diffusers' modules, with random weights, in a single run.

python -m bench.train [--preset paper] [--set train.images_at_once=96] [--rounds N] [--json FILE]

Sides take turns, and a side's figure is its best round. `cached` is given latents and image embeddings, `in the loop`
computes them in every step. The plain step (bench/reference_step.py) always computes them, eagerly, in bfloat16 on a
GPU, and in float32 (TF32 on a GPU, unless train.compute.precision is fp32). MFU is relative to the nominal dense
bfloat16 peak, `of matmul` to the speed of a large product here. Operations are counted alike for all sides: UNet
forward and backward, and the encoders if in the loop. Peak memory excludes the weights, moments and averages held only
for other sides.
"""

import argparse
import json
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from app.settings import Settings, load_settings
from base.versions import machine, versions
from bench.reference_step import ReferenceStep
from evaluation.table import markdown_table
from shards.pair import Pair
from train.batch import Batch
from train.collate import CollatedPairs, collate, split_batches
from train.compute import autocast, prepare_unet, set_compute_mode
from train.ema import Ema
from train.flops import peak_flops, training_flops
from train.optimiser import make_optimiser
from train.prefetch import prefetch
from train.state import Learner
from train.step import Stepper
from train.world import World
from zero123.build import build_pipeline
from zero123.device import torch_device
from zero123.image_encoder import LatentEncoder
from zero123.pipeline import Zero123Pipeline
from zero123.trained import trained_parameters

PHASES = ("data", "encode", "forward", "backward", "optimiser")
MATMUL, POOL = 8192, 32


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", action="append", default=[], metavar="NAME")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--steps", type=int, default=4, metavar="N", help="in each round of each side")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    settings = load_settings(None, options.preset or ["paper"], ["model.weights=null", *options.set])
    result = measure(settings, options.rounds, options.steps)
    print(table(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


@dataclass
class Phases:
    """Seconds by phase. While `on`, each phase waits for the device, so a step is slower than usual."""

    device: torch.device
    on: bool = False
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        began = self._now()
        yield
        if self.on:
            self.seconds[name] += self._now() - began

    def _now(self) -> float:
        if self.on and self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.monotonic()


@dataclass
class Side:
    """A way to take a training step. `take` takes a step, `flops` is the number of operations per image.

    `held` yields the tensors kept from step to step. `others_bytes` is the memory held only for other sides.
    """

    name: str
    take: Callable[[], None]
    flops: float
    phases: Phases
    held: Callable[[], Iterator[Tensor]]
    others_bytes: int = 0
    rates: list[float] = field(default_factory=list)
    peak_mb: float | None = None

    def run(self, steps: int, batch: int) -> None:
        """Take a round of steps, and record its rate and peak memory."""
        device = self.phases.device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        began = synchronised_time(device)
        for _ in range(steps):
            self.take()
        self.rates.append(steps * batch / (synchronised_time(device) - began))
        if device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(device) - self.others_bytes
            self.peak_mb = max(self.peak_mb or 0.0, peak / 1e6)

    def split(self, batch: int) -> dict[str, float]:
        """Take another step and return the milliseconds of each phase, for the whole batch."""
        # For this step alone: waiting at each phase would slow the measured rounds.
        self.phases.on = True
        self.take()
        self.phases.on = False
        return {name: 1e3 * seconds for name, seconds in self.phases.seconds.items()}


def measure(settings: Settings, rounds: int, steps: int) -> dict[str, Any]:
    """Measure all sides, after a first step of each to compile and warm up."""
    train = settings.train
    device = torch_device(train.device)
    pipeline = build_pipeline(settings.model, train.seed).to(str(device))
    batch = train.batch
    with (
        set_compute_mode(train.compute, device, train.threads),
        closing(host_parts(pipeline, settings, device)) as parts,
    ):
        sides = all_sides(pipeline, settings, parts, device)
        for side in sides:
            # The first step compiles, and makes the optimiser's state.
            side.take()
        for side in sides:
            side.others_bytes = bytes_of_others(side, sides)
        matmul = matmul_flops(device)
        for _ in range(rounds):
            for side in sides:
                # In turns, so that a throttling GPU slows all sides alike.
                side.run(steps, batch)
        found = {side.name: figures(side, batch, matmul, peak_flops(device)) for side in sides}
    base = sides[2].name
    ratios = {f"{name} / {base}": one["images_per_s"] / found[base]["images_per_s"] for name, one in found.items()}
    facts = {"machine": machine(), "versions": versions(), "settings": settings.model_dump(mode="json")}
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else "none"
    return {"batch": batch, "gpu": gpu, "sides": found, "base": base, "ratio": ratios, "matmul_flops": matmul, **facts}


def all_sides(
    pipeline: Zero123Pipeline, settings: Settings, parts: Iterator[CollatedPairs], device: torch.device
) -> list[Side]:
    """Make the sides: ours with given latents and with encoders in the loop, and the plain step in two precisions."""
    train, count = settings.train, -(-settings.train.batch // settings.train.images_at_once)
    unet = training_flops(pipeline)
    encoders = encoder_flops(pipeline, next(parts))
    clocks = [Phases(device) for _ in range(4)]
    reference = ReferenceStep(pipeline, train.optimiser.learning_rate, clocks[2])
    prepare_unet(pipeline, train.compute)
    parameters = trained_parameters(pipeline)
    learner = Learner(parameters, make_optimiser(parameters, train.optimiser), Ema(parameters, train.ema.decay))
    world = World(0, 1, device, train.wait_minutes)

    def ours(kind: type[Stepper], clock: Phases) -> Callable[[], None]:
        chosen = without_memo(train)
        if kind is Cached:  # cached latents have no pictures to compare
            chosen = chosen.model_copy(update={"picture_loss": None})
        stepper = kind(pipeline, learner, chosen, world, clock)
        return lambda: discard(stepper.take(time_reads(parts, clock), train.optimiser.learning_rate, 1))

    def plain(precision: str, clock: Phases) -> Callable[[], None]:
        def take() -> None:
            reference.clock = clock
            some = list(islice(time_reads(parts, clock), count))
            compute = train.compute.model_copy(update={"precision": precision})
            reference.take(some, autocast(device, compute))

        return take

    def our_state() -> Iterator[Tensor]:
        parts = (pipeline.unet, pipeline.cc_projection, pipeline.image_encoder, pipeline.vae)
        return all_tensors(parts, learner.optimiser, learner.ema.averages.values())

    def plain_state() -> Iterator[Tensor]:
        return all_tensors(reference.parts, reference.optimiser, reference.average.shadow_params)

    precisions = ("bf16", "fp32") if device.type == "cuda" else ("fp32",)  # CPUs seldom compute in bfloat16
    return [
        Side("ours, cached", ours(Cached, clocks[0]), unet, clocks[0], our_state),
        Side("ours, in the loop", ours(Stepper, clocks[1]), unet + encoders, clocks[1], our_state),
        *(
            Side(f"plain, {precision}", plain(precision, clock), unet + encoders, clock, plain_state)
            for precision, clock in zip(precisions, clocks[2:], strict=False)
        ),
    ]


def all_tensors(
    parts: Iterable[nn.Module], optimiser: torch.optim.Optimizer, averages: Iterable[Tensor]
) -> Iterator[Tensor]:
    """Yield every tensor of networks, their optimiser and their averages."""
    for part in parts:
        yield from part.parameters()
        yield from part.buffers()
    for state in optimiser.state.values():
        yield from state.values()
    yield from averages


def bytes_of_others(side: Side, sides: Iterable[Side]) -> int:
    """Return the bytes held only for other sides."""
    mine = {tensor.untyped_storage().data_ptr() for tensor in side.held()}
    storages = [tensor.untyped_storage() for other in sides for tensor in other.held()]
    theirs = {storage.data_ptr(): storage.nbytes() for storage in storages if storage.data_ptr() not in mine}
    return sum(theirs.values())


class Cached(Stepper):
    """Our step with latents and embeddings computed beforehand."""

    def make_batch(self, part: CollatedPairs) -> Batch:
        """Return the batch of the first part of this length, with this part's timesteps and poses."""
        kept: dict[int, Batch] = self.__dict__.setdefault("known", {})
        if len(part) not in kept:
            kept[len(part)] = self._make(part)
        return replace(kept[len(part)], timesteps=part.timesteps, pose=part.pose)

    @torch.no_grad()
    def _make(self, part: CollatedPairs) -> Batch:
        batch = super().make_batch(part)
        if isinstance(self.pipeline.image_encoder, LatentEncoder):
            return batch
        return replace(batch, embedding=self.pipeline.embedding(batch.images, batch.condition), images=None)


def host_parts(
    pipeline: Zero123Pipeline, settings: Settings, device: torch.device
) -> Generator[CollatedPairs, None, None]:
    """Yield parts of batches as in training, from made-up pairs: collated and copied ahead of the step."""
    train = settings.train
    parts = split_batches(make_pairs(settings.model.hw), train.batch, train.images_at_once)
    return prefetch((collate(some, pipeline, train) for some in parts), device, train.compute.ahead)


def make_pairs(hw: tuple[int, int]) -> Iterator[Pair]:
    """Yield pairs of noise for ever."""
    rng = np.random.default_rng(0)
    # A pool, since new noise for each pair would cost more than a step.
    views = rng.integers(0, 256, (POOL, *hw, 4), dtype=np.uint8)
    number = 0
    while True:
        source, target = number % POOL, (number + 1) % POOL
        yield Pair(
            number=number, uid=f"made-up-{number}", source=0, target=1, R=np.eye(3), T=np.zeros(3),
            pose=np.array([0.1, 0.0, 1.0, 0.0]), source_polar_rad=1.0,
            source_rgba=views[source], target_rgba=views[target],
        )  # fmt: skip
        number += 1


def time_reads(parts: Iterator[CollatedPairs], clock: Phases) -> Iterator[CollatedPairs]:
    """Yield the parts, and count the wait for them as the phase `data`."""
    while True:
        with clock("data"):
            part = next(parts)
        yield part


def figures(side: Side, batch: int, matmul: float, peak: float | None) -> dict[str, Any]:
    """Return a side's figures as plain values."""
    # The best round: the others only add what else the machine did.
    rate = max(side.rates)
    return {
        "images_per_s": rate,
        "ms_per_phase": side.split(batch),
        "mfu": None if peak is None else rate * side.flops / peak,
        "of_matmul": rate * side.flops / matmul,
        "gflop_per_image": side.flops / 1e9,
        "peak_mb": side.peak_mb,
        "rounds": side.rates,
    }


def encoder_flops(pipeline: Zero123Pipeline, part: CollatedPairs) -> float:
    """Return the operations of the frozen encoders per pair."""
    from train.batch import make_batch
    from train.memo import LatentMemo

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        batch = make_batch(pipeline, part, LatentMemo(pipeline.vae, 0), 0.0)
        if not isinstance(pipeline.image_encoder, LatentEncoder):
            pipeline.embedding(batch.images, batch.condition)
    return float(counter.get_total_flops()) / len(part)


def matmul_flops(device: torch.device) -> float:
    """Measure operations per second of a large product, in bfloat16 on a GPU, in float32 on a CPU; the best of 6."""
    gpu = device.type == "cuda"
    side = MATMUL if gpu else MATMUL // 8
    a = torch.randn(side, side, device=device, dtype=torch.bfloat16 if gpu else torch.float32)
    best = float("inf")
    for _ in range(6):
        began = synchronised_time(device)
        for _ in range(4):
            torch.mm(a, a)
        best = min(best, synchronised_time(device) - began)
    return 4 * 2.0 * side**3 / best


def synchronised_time(device: torch.device) -> float:
    """Wait for the device's work and return the time."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.monotonic()


def without_memo(train: Any) -> Any:
    """Turn the latent memo off, so that latents are computed in every step."""
    return train.model_copy(update={"latent_memo_mb": 0})


def discard(_: object) -> None:
    """Ignore the result of a step."""


def table(result: dict[str, Any]) -> str:
    """Format the figures as Markdown."""
    head = [
        "step",
        "images/s",
        f"× {result['base']}",
        "MFU",
        "of matmul",
        "peak MB",
        *(f"{name} ms" for name in PHASES),
    ]
    rows = []
    for name, one in result["sides"].items():
        use = "–" if one["mfu"] is None else f"{one['mfu']:.1%}"
        peak = "–" if one["peak_mb"] is None else f"{one['peak_mb']:,.0f}"
        ratio = result["ratio"][f"{name} / {result['base']}"]
        phases = [f"{one['ms_per_phase'][phase]:,.1f}" for phase in PHASES]
        row = [name, f"{one['images_per_s']:,.1f}", f"{ratio:.2f}", use, f"{one['of_matmul']:.1%}"]
        rows.append([*row, peak, *phases])
    return f"batch {result['batch']}, GPU: {result['gpu']}\n\n{markdown_table(head, rows)}"


if __name__ == "__main__":
    raise SystemExit(main())
