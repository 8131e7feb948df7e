"""The loop: pairs in, a view-conditioned denoiser out. The same call again goes on where the last one ended."""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from base.errors import Failure
from base.progress import SILENT, Progress
from base.retry import Retry
from base.storage import Storage
from base.versions import versions
from shards.damage import DamageTolerance
from shards.sample import Sample
from shards.transport import open_transport
from shards.version import Version
from shards.visits import Share
from train.checks import check_dataset, check_ranks, check_unchanged, fixed_settings, select_version
from train.collate import CollatedPairs, collate, split_batches
from train.compute import prepare_unet, set_compute_mode
from train.ema import Ema
from train.flops import peak_flops, training_flops
from train.interrupt import Interrupt, StepAbandoned
from train.log import LOG, Log, LogInterval, LogRow, read_log
from train.optimiser import PROJECTION, learning_rate, make_optimiser, trained_parameters
from train.page import write_page
from train.prefetch import prefetch
from train.settings import TrainSettings
from train.source import read_training_pairs
from train.state import Learner, Position, finished_checkpoints, load_learner, read_position, save_state
from train.step import Step, Stepper
from train.trackers import numbers_of, numbers_of_score, trackers_for
from train.upload import Uploader, fetch_newest, upload_newest
from train.validation import Validation, held_out_samples, picture_grid
from train.world import World, world_for
from zero123.build import build_pipeline
from zero123.encoders import FrozenEncoders
from zero123.pipeline import Zero123Pipeline
from zero123.settings import ModelSettings, SamplingSettings


@dataclass(frozen=True)
class TrainSummary:
    """A finished run: `images` learnt from, `seconds` spent over all calls, the newest checkpoint, the log's rows.

    `first` is True in the rank that writes.
    """

    images: int
    seconds: float
    checkpoint: Path
    log: tuple[LogRow, ...]
    first: bool

    @property
    def loss_curve(self) -> tuple[tuple[int, float], ...]:
        """(images, mean loss since the point before), but where every step was bad."""
        return tuple((row.images, row.loss) for row in self.log if row.loss is not None)


def do_nothing() -> None:
    """Does nothing."""


def train(
    model: ModelSettings,
    settings: TrainSettings,
    storage: Storage,
    out: Path,
    progress: Progress,
    begin: Callable[[], None] = do_nothing,
    *,
    sampling: SamplingSettings | None = None,
) -> TrainSummary:
    """Train on a version of the dataset in `storage` until `settings.images`, with checkpoints below `out`.

    Called in each process that torchrun or Ray Train started, it is one rank of the run; `begin` is called in the first
    rank alone, once nothing is in the way of a step; the checkpoints carry `sampling` as their defaults. Ctrl-C and
    SIGTERM save and then do what they always do. Raises UsageError for settings that do not fit the dataset or the run
    in `out`, Failure for a damaged dataset, losses that are no numbers, a disk that is full, or a rank that does not
    come.
    """
    is_first = run_rank(model, settings, storage, out, progress, Interrupt(), begin=begin, sampling=sampling)
    return read_summary(out, first=is_first)


def run_rank(  # noqa: PLR0913
    model: ModelSettings,
    settings: TrainSettings,
    storage: Storage,
    out: Path,
    progress: Progress,
    interrupt: Interrupt,
    *,
    begin: Callable[[], None] = do_nothing,
    sampling: SamplingSettings | None = None,
) -> bool:
    """One rank's part of `train`, to the last image or until `interrupt` asks; True in the rank that writes."""
    with ExitStack() as stack:
        world = stack.enter_context(world_for(settings.device, settings.wait_minutes))
        stack.enter_context(set_compute_mode(settings.compute, world.device, settings.threads))
        run = _Run(model, settings, storage, out, world, progress)
        run.pipeline.sampling = sampling or run.pipeline.sampling
        if world.first:
            begin()
        if run.position.images < settings.images:
            with interrupt:
                run.learn(interrupt)
        elif settings.upload and world.first:
            upload_newest(settings.upload, out)
        return world.first


def read_summary(out: Path, *, first: bool) -> TrainSummary:
    """What the files of a run tell of it; Failure where it has no checkpoint."""
    finished = finished_checkpoints(out)
    if not finished:
        raise Failure(f"{out}: expected a checkpoint of a run, got none")
    position = read_position(finished[-1])
    return TrainSummary(position.images, position.seconds, finished[-1], tuple(read_log(out / LOG)), first)


class _Run:
    """One rank's part of a run between two checkpoints' worth of state."""

    def __init__(
        self,
        model: ModelSettings,
        settings: TrainSettings,
        storage: Storage,
        out: Path,
        world: World,
        progress: Progress,
    ) -> None:
        self.settings, self.storage, self.out = settings, storage, out
        self.world, self.progress = world, progress
        self.stop = threading.Event()
        retry = Retry(settings.stream.patience_s, self._say, self.stop)
        folder = self._newest(retry)
        fixed = fixed_settings(model, settings)
        if folder is None:
            self.version = select_version(storage, settings, None, out, retry)
            self.position = Position(0, 0, 0.0, self.version.number, fixed, self.version.digest)
        else:
            self.position = read_position(folder)
            check_unchanged(self.position.settings, fixed, out)
            self.version = select_version(storage, settings, self.position, out, retry)
            self.position = replace(self.position, dataset=self.version.digest)
        check_dataset(self.version, model, settings)
        check_ranks(settings, world.size)
        pipeline = Zero123Pipeline.from_pretrained(folder) if folder else build_pipeline(model, settings.seed)
        self.pipeline = pipeline.to(str(world.device))
        self.passed_over = DamageTolerance(settings.stream.damaged_samples, self._say)
        self.pairs = self._pairs(self.version)
        self.flops, self.peak = training_flops(self.pipeline), peak_flops(world.device)
        prepare_unet(self.pipeline, settings.compute)
        parameters = trained_parameters(self.pipeline)
        averaged = {name: value for name, value in parameters.items() if _is_averaged(name, settings)}
        self.learner = Learner(
            parameters, make_optimiser(parameters, settings.optimiser), Ema(averaged, settings.ema.decay)
        )
        if folder is not None:
            load_learner(folder, self.learner)
        self.log = Log(out / LOG if world.first else None, self.position.images)
        written = out if world.first else None
        self.validation = Validation(self._held_out(), settings.validation, written, self.position.images)

    def learn(self, interrupt: Interrupt) -> None:
        """Step until the last image or until asked to stop; the state is saved in either case."""
        settings, world = self.settings, self.world
        stepper = Stepper(self.pipeline, self.learner, settings, world)
        since, rate = LogInterval(), 0.0
        with ExitStack() as stack:
            self._open(stack)
            ahead = prefetch(self.pairs, world.device, settings.compute.ahead, self.stop, lambda: interrupt.requested)
            waits = _TimedParts(stack.enter_context(closing(ahead)), world)
            shown = self.progress if world.first else SILENT
            task = stack.enter_context(
                shown.task("train", total=settings.images, unit="images", done=self.position.images)
            )
            while self.position.images < settings.images:
                world.barrier(f"train: {self.position.images:,} images")
                if world.any_rank(interrupt.requested):
                    break
                began, waits.seconds = time.monotonic(), 0.0
                rate = learning_rate(settings.optimiser, self.position.images, settings.images)
                try:
                    with world.collective():
                        largest = self.position.largest_norm(settings.bad_steps.times_usual)
                        step = stepper.take(waits, rate, self.position.steps + 1, largest)
                except StepAbandoned:
                    break
                before, seconds = self.position.images, time.monotonic() - began
                self.position = self.position.advance(settings.batch, seconds, None if step.bad else step.norm)
                self._judge(step)
                since.add(step, waits.seconds, seconds, settings.batch)
                if _passed_multiple(before, self.position.images, settings.log_every_images):
                    since = self._note(since, rate)
                self._keep(before, interrupt)
                task.advance(settings.batch, note=f"loss {step.loss:.3f}")
            self._note(since, rate)
            self._save()
            world.barrier("train: the last checkpoint")

    def _newest(self, retry: Retry) -> Path | None:
        """The checkpoint to go on from; every rank must see the same one."""
        world, settings = self.world, self.settings
        if settings.upload and world.first:
            fetch_newest(settings.upload, self.out, retry)
        world.barrier("train: the newest checkpoint")
        finished = finished_checkpoints(self.out)
        seen = world.gather(finished[-1].name if finished else "")
        if len(set(seen)) > 1:
            raise Failure(f"{self.out}: expected a folder that every rank sees, got newest checkpoints {seen}")
        return finished[-1] if finished else None

    def _pairs(self, version: Version) -> Generator[CollatedPairs, None, None]:
        settings, world = self.settings, self.world
        share = Share(self.position.images, world.rank, world.size)
        encoder = FrozenEncoders.in_model(self.pipeline).digest
        pairs = read_training_pairs(version, self.storage, settings, share, encoder, self.passed_over, self.stop)
        parts = split_batches(pairs, settings.batch // world.size, settings.images_at_once)
        return (collate(some, self.pipeline, settings) for some in parts)

    def _held_out(self) -> list[Sample]:
        """The objects to validate on, looked at before the first step as training looks at its own."""
        stream, validation = self.settings.stream, self.settings.validation
        if not validation.every_images:
            return []
        ranges, _ = open_transport(self.storage, stream, self.stop, self._say)
        return held_out_samples(self.version, ranges, validation.objects, self.passed_over)

    def _say(self, line: str) -> None:
        self.progress.say(line if self.world.first else f"rank {self.world.rank}: {line}")

    def _open(self, stack: ExitStack) -> None:
        """What is written to beside checkpoints: by the first rank alone."""
        self.trackers = []
        if self.world.first:
            position = self.position
            self.trackers = trackers_for(self.settings.log, self.out, position.settings, position.images)
        for tracker in self.trackers:
            stack.callback(tracker.close)
        self.uploader = None
        if self.settings.upload and self.world.first:
            self.uploader = Uploader(self.settings.upload, self.out)
            stack.callback(self.uploader.close)

    def _judge(self, step: Step) -> None:
        """Count a bad step, and stop when there were too many in a row."""
        if not step.bad:
            return
        limit, usual = self.settings.bad_steps.in_a_row, self.position.usual_norm
        sentence = (
            f"train: expected a loss and a gradient to learn from, got loss {step.loss:.3g} and gradient "
            f"{step.norm:.3g}{f' where {usual:.3g} is usual' if usual else ''} before {self.position.images:,} images, "
            f"from {', '.join(step.bad)}"
        )
        if self.position.in_a_row >= limit:
            raise Failure(f"{sentence}; {self.position.in_a_row} steps in a row were skipped")
        if self.world.first:
            self._say(f"{sentence}; step skipped, {self.position.skipped} so far")

    def _note(self, since: LogInterval, rate: float) -> LogInterval:
        """Write a row of the log for what has happened since the last one."""
        if not since.images:
            return since
        loss, norm = since.means
        row = LogRow(
            images=self.position.images,
            loss=loss,
            loss_by_timestep=since.by_timestep,
            gradient_norm=norm,
            learning_rate=rate,
            projection_rate=rate * self.settings.optimiser.projection_factor,
            images_per_s=since.images_per_s,
            mfu=self.flops * since.images_per_s / (self.peak * self.world.size) if self.peak else None,
            data_wait=since.data_wait,
            skipped=self.position.skipped,
        )
        self.log.add(row)
        for tracker in self.trackers:
            tracker.add_numbers(row.images, numbers_of(row))
        return LogInterval()

    def _keep(self, before: int, interrupt: Interrupt) -> None:
        """Validate and save where a multiple of either's images was passed, and at the last image.

        The checkpoint has the validation's score; a validation that fails, or is left, is no reason to lose it.
        """
        settings, now = self.settings, self.position.images
        every, last = settings.validation.every_images, now >= settings.images
        try:
            if every and (last or _passed_multiple(before, now, every)):
                self._validate(interrupt)
        finally:
            if last or _passed_multiple(before, now, settings.checkpoint_every_images):
                self._save()

    def _validate(self, interrupt: Interrupt) -> None:
        world, settings = self.world, self.settings
        with self.learner.ema.apply_averages():
            mine = self.validation.sample_views(self.pipeline, settings.seed, world, lambda: interrupt.requested)
        if mine is None:
            return
        scored = [one for some in world.gather(mine) for one in some]
        score = self.validation.record(self.position.images, sorted(scored, key=lambda one: (one.uid, one.target)))
        self.position = replace(self.position, score=score.psnr_db)
        for tracker in self.trackers:
            tracker.add_numbers(score.images, numbers_of_score(score))
            tracker.add_picture(score.images, "validation", np.asarray(picture_grid(scored).convert("RGB")))

    def _save(self) -> None:
        if not self.world.first or not self.position.images:
            return
        folder = save_state(self.out, self.pipeline, self.learner, self.position, self.settings.keep_checkpoints)
        write_page(self.out, self.log.rows, self.validation.scores, versions())
        if self.uploader:
            self.uploader.add(folder)


class _TimedParts:
    """An iterator that counts the seconds for which it was waited for; on all ranks it goes on, or on none.

    Raises NoData in every rank when the parts of one have ended, which they do when that rank is asked to stop.
    """

    def __init__(self, parts: Iterator[CollatedPairs], world: World) -> None:
        self.parts, self.world, self.seconds = parts, world, 0.0

    def __iter__(self) -> "_TimedParts":
        return self

    def __next__(self) -> CollatedPairs:
        began = time.monotonic()
        part = next(self.parts, None)
        self.seconds += time.monotonic() - began
        if self.world.any_rank(part is None) or part is None:
            raise StepAbandoned
        return part


def _passed_multiple(before: int, after: int, every: int) -> bool:
    return before // every != after // every


def _is_averaged(name: str, settings: TrainSettings) -> bool:
    return settings.ema.projection or not name.startswith(PROJECTION)
