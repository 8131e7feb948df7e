"""The training loop. The same call again continues where the last call ended."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from base.errors import Failure
from base.progress import SILENT, Progress
from base.retry import Retry
from base.versions import versions
from shards.damage import DamageTolerance
from shards.sample import Sample
from shards.transport import open_transport
from shards.visits import Share
from train.checks import check_dataset, check_ranks, check_unchanged, fixed_settings, select_version
from train.collate import CollatedPairs, collate, split_batches
from train.compute import prepare_unet, set_compute_mode
from train.ema import Ema
from train.flops import peak_flops, training_flops
from train.interrupt import Interrupt, StepAbandoned
from train.log import LOG, Log, LogInterval, LogRow
from train.optimiser import PROJECTION, learning_rate, make_optimiser
from train.page import write_page
from train.prefetch import prefetch
from train.source import read_training_pairs
from train.spec import TrainSpec, TrainSummary, read_summary
from train.state import ADAPTER, Learner, Position, finished_checkpoints, load_learner, read_position, save_state
from train.step import Step, Stepper
from train.trackers import numbers_of, numbers_of_score, trackers_for
from train.upload import Uploader, fetch_newest, upload_newest
from train.validation import Validation, held_out_samples, picture_grid
from train.world import World, world_for
from zero123.build import first_pipeline
from zero123.encoders import FrozenEncoders
from zero123.lora import Adapter, add_adapters, base_digest, check_base, load_adapter, read_adapter
from zero123.pipeline import Zero123Pipeline
from zero123.trained import trained_parameters


def do_nothing() -> None:
    """Do nothing."""


def train(spec: TrainSpec, progress: Progress, begin: Callable[[], None] = do_nothing) -> TrainSummary:
    """Train until `spec.settings.images`, with checkpoints below `spec.out`.

    In a process of torchrun or Ray Train this is a rank of the run. The first rank calls `begin` when nothing prevents
    the first step. Ctrl-C and SIGTERM save the state and then have their usual effect. Raises UsageError for settings
    that do not fit the dataset or the existing run. Raises Failure for a damaged dataset, for too many bad steps, for a
    full disk, and for a missing rank.
    """
    return read_summary(spec.out, first=run_rank(spec, progress, Interrupt(), begin))


def run_rank(spec: TrainSpec, progress: Progress, interrupt: Interrupt, begin: Callable[[], None] = do_nothing) -> bool:
    """Run a rank of `train` to the last image, or until `interrupt` is requested. Returns True in the first rank."""
    settings = spec.settings
    with ExitStack() as stack:
        world = stack.enter_context(world_for(settings.device, settings.wait_minutes))
        stack.enter_context(set_compute_mode(settings.compute, world.device, settings.threads))
        run = _Run(spec, world, progress)
        if world.first:
            begin()
        if run.position.images < settings.images:
            with interrupt:
                run.learn(interrupt)
        elif settings.upload and world.first:
            upload_newest(settings.upload, spec.out)
        return world.first


class _Run:
    """The work of a rank, from the newest checkpoint to the last."""

    def __init__(self, spec: TrainSpec, world: World, progress: Progress) -> None:
        self.spec, self.settings, self.out = spec, spec.settings, spec.out
        self.world, self.progress = world, progress
        self.stop = threading.Event()
        self.tolerance = DamageTolerance(self.settings.stream.damaged_samples, self._say)
        # First, because it finds most mistakes, and a large model takes long to load.
        checkpoint = self._resume()
        self._build(checkpoint)
        self._open_data()
        self._open_log()

    def _resume(self) -> Path | None:
        """Find the newest checkpoint, the position and the dataset's version, and check that all fit the settings."""
        spec, settings = self.spec, self.settings
        retry = Retry(settings.stream.patience_s, self._say, self.stop)
        fixed = fixed_settings(spec.model, settings)
        checkpoint = self._newest_checkpoint(retry)
        if checkpoint is None:
            self.version = select_version(spec.storage, settings, None, self.out, retry)
            self.position = Position(0, 0, 0.0, self.version.number, fixed, self.version.digest)
        else:
            began = read_position(checkpoint)
            check_unchanged(began.settings, fixed, self.out)
            self.version = select_version(spec.storage, settings, began, self.out, retry)
            self.position = replace(began, dataset=self.version.digest)
        check_dataset(self.version, spec.model, settings)
        check_ranks(settings, self.world.size)
        return checkpoint

    def _build(self, checkpoint: Path | None) -> None:
        """Build or load the model, its optimiser and its averages."""
        spec, settings = self.spec, self.settings
        if checkpoint is None or settings.lora:  # a checkpoint's UNet has the adapters merged: the base is read again
            pipeline = first_pipeline(spec.model, settings.seed, settings.init)
        else:
            pipeline = Zero123Pipeline.from_pretrained(checkpoint)
        self.pipeline = pipeline.to(str(self.world.device))
        # Into the model, so that every checkpoint carries them.
        self.pipeline.sampling = spec.sampling or self.pipeline.sampling
        # Before `prepare_unet`: operations are not counted inside a compiled module.
        self.flops, self.peak = training_flops(self.pipeline), peak_flops(self.world.device)
        adapter = self._add_adapters(checkpoint)
        prepare_unet(self.pipeline, settings.compute)
        parameters = trained_parameters(self.pipeline)
        if adapter and checkpoint is not None:
            load_adapter(checkpoint / ADAPTER, parameters)
        averaged = {
            name: value
            for name, value in parameters.items()
            if settings.ema.projection or not name.startswith(PROJECTION)
        }
        self.learner = Learner(
            parameters, make_optimiser(parameters, settings.optimiser), Ema(averaged, settings.ema.decay), adapter
        )
        if checkpoint is not None:
            load_learner(checkpoint, self.learner)

    def _add_adapters(self, checkpoint: Path | None) -> Adapter | None:
        """Add adapters to the UNet, if the settings say so. Raises Failure if the base is not that of `checkpoint`."""
        lora, init = self.settings.lora, self.settings.init
        if lora is None or init is None:
            return None
        adapter = Adapter(**lora.model_dump(), base=init, base_digest=base_digest(self.pipeline))
        if checkpoint is not None:
            check_base(read_adapter(checkpoint / ADAPTER), adapter.base_digest, checkpoint / ADAPTER)
        add_adapters(self.pipeline, lora.rank, lora.alpha, lora.targets, self.settings.seed)
        return adapter

    def _open_data(self) -> None:
        """Open this rank's share of the pairs as parts of batches, and read the objects to validate on."""
        settings, world = self.settings, self.world
        share = Share(self.position.images, world.rank, world.size)
        # A function, not the digest: hashing all weights takes long, and only cached latents need it.
        encoder = FrozenEncoders.in_model(self.pipeline).digest
        pairs = read_training_pairs(
            self.version, self.spec.storage, settings, share, encoder, self.tolerance, self.stop
        )
        parts = split_batches(pairs, settings.batch // world.size, settings.images_at_once)
        # Lazily, so that the prefetching thread does this work.
        self.parts = (collate(some, self.pipeline, settings) for some in parts)
        self.held_out: list[Sample] = []
        if settings.validation.every_images:
            ranges, _ = open_transport(self.spec.storage, settings.stream, self.stop, self._say)
            self.held_out = held_out_samples(self.version, ranges, settings.validation.objects, self.tolerance)

    def _open_log(self) -> None:
        """Continue the log and the validation scores from the position on; only the first rank writes them."""
        # Several ranks writing the same file would mix their lines.
        out = self.out if self.world.first else None
        self.log = Log(out / LOG if out else None, self.position.images)
        self.validation = Validation(self.held_out, self.settings.validation, out, self.position.images)

    def learn(self, interrupt: Interrupt) -> None:
        """Take steps until the last image or a request to stop. Saves the state in either case."""
        settings, world = self.settings, self.world
        stepper = Stepper(self.pipeline, self.learner, settings, world)
        interval, rate = LogInterval(), 0.0
        with ExitStack() as stack:
            # Outputs and input.
            self._open_outputs(stack)
            ahead = prefetch(self.parts, world.device, settings.compute.ahead, self.stop, lambda: interrupt.requested)
            parts = _TimedParts(stack.enter_context(closing(ahead)), world)
            shown = self.progress if world.first else SILENT
            task = stack.enter_context(
                shown.task("train", total=settings.images, unit="images", done=self.position.images)
            )
            while self.position.images < settings.images:
                # A common decision to go on: a rank that left alone would block the others.
                world.barrier(f"train: {self.position.images:,} images")
                if world.any_rank(interrupt.requested):
                    break

                # Data, gradient and weights.
                began, parts.seconds = time.monotonic(), 0.0
                rate = learning_rate(settings.optimiser, self.position.images, settings.images)
                try:
                    with world.collective():
                        largest = self.position.largest_norm(settings.bad_steps.times_usual)
                        step = stepper.take(parts, rate, self.position.steps + 1, largest)
                except StepAbandoned:
                    break

                # Position.
                before, seconds = self.position.images, time.monotonic() - began
                self.position = self.position.advance(settings.batch, seconds, None if step.bad else step.norm)

                # Bad steps.
                if step.bad:
                    self._report_bad_step(step)

                # Log.
                interval.add(step, parts.seconds, seconds, settings.batch)
                if _passed_multiple(before, self.position.images, settings.log_every_images):
                    self._write_log_row(interval, rate)
                    interval = LogInterval()

                # Validation and checkpoint.
                self._validate_and_save(before, interrupt)

                # Progress.
                task.advance(settings.batch, note=f"loss {step.loss:.3f}")

            # Last row and checkpoint.
            self._write_log_row(interval, rate)
            self._save()
            world.barrier("train: the last checkpoint")

    def _newest_checkpoint(self, retry: Retry) -> Path | None:
        """Find the checkpoint to continue from. Raises Failure unless every rank sees the same checkpoint."""
        world, settings = self.world, self.settings
        if settings.upload and world.first:
            # By a single rank: the others wait at the barrier, and then find it in the shared folder.
            fetch_newest(settings.upload, self.out, retry)
        world.barrier("train: the newest checkpoint")
        # Only now: the first rank may have fetched one.
        finished = finished_checkpoints(self.out)
        seen = world.gather(finished[-1].name if finished else "")
        if len(set(seen)) > 1:
            raise Failure(f"{self.out}: expected a folder that every rank sees, got newest checkpoints {seen}")
        return finished[-1] if finished else None

    def _say(self, line: str) -> None:
        self.progress.say(line if self.world.first else f"rank {self.world.rank}: {line}")

    def _open_outputs(self, stack: ExitStack) -> None:
        """Open the trackers and the uploader of the first rank, to be closed by `stack`."""
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

    def _report_bad_step(self, step: Step) -> None:
        """Report a skipped step. Raises Failure after too many in a row."""
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

    def _write_log_row(self, interval: LogInterval, rate: float) -> None:
        """Write a row of the log about an interval, unless it is empty."""
        if not interval.images:
            return
        loss, norm = interval.means
        row = LogRow(
            images=self.position.images,
            loss=loss,
            loss_by_timestep=interval.by_timestep,
            gradient_norm=norm,
            learning_rate=rate,
            projection_rate=rate * self.settings.optimiser.projection_factor,
            images_per_s=interval.images_per_s,
            mfu=self.flops * interval.images_per_s / (self.peak * self.world.size) if self.peak else None,
            data_wait=interval.data_wait,
            skipped=self.position.skipped,
        )
        self.log.add(row)
        for tracker in self.trackers:
            tracker.add_numbers(row.images, numbers_of(row))

    def _validate_and_save(self, before: int, interrupt: Interrupt) -> None:
        """Validate and save if the step passed a multiple of their intervals, and after the last image.

        Validation comes first, so that the checkpoint has its score.
        """
        settings, now = self.settings, self.position.images
        every, last = settings.validation.every_images, now >= settings.images
        try:
            if every and (last or _passed_multiple(before, now, every)):
                self._validate(interrupt)
        finally:  # a failed validation must not lose the checkpoint
            if last or _passed_multiple(before, now, settings.checkpoint_every_images):
                self._save()

    def _validate(self, interrupt: Interrupt) -> None:
        """Sample the held-out views with the averaged weights, and record their score unless a stop is requested."""
        world, settings = self.world, self.settings
        with self.learner.ema.apply_averages():
            # Every rank samples some objects: if a single rank did, the others would only wait.
            mine = self.validation.sample_views(self.pipeline, settings.seed, world, lambda: interrupt.requested)
        if mine is None:
            return
        views = [view for views_of_rank in world.gather(mine) for view in views_of_rank]
        # So that scores and pictures are the same for any number of ranks.
        views.sort(key=lambda view: (view.uid, view.target))
        score = self.validation.record(self.position.images, views)
        # Into the position, because the checkpoint written next is judged by it.
        self.position = replace(self.position, score=score.psnr_db)
        for tracker in self.trackers:
            tracker.add_numbers(score.images, numbers_of_score(score))
            tracker.add_picture(score.images, "validation", np.asarray(picture_grid(views).convert("RGB")))

    def _save(self) -> None:
        """Write a checkpoint and the report page, and queue the upload, in the first rank."""
        # A checkpoint of no images would only repeat the initial weights.
        if not self.world.first or not self.position.images:
            return
        folder = save_state(self.out, self.pipeline, self.learner, self.position, self.settings.keep_checkpoints)
        write_page(self.out, self.log.rows, self.validation.scores, versions())
        if self.uploader:
            self.uploader.add(folder)


class _TimedParts:
    """Iterates over parts of batches and counts the `seconds` of waiting for them.

    If the parts of any rank have ended, because it was asked to stop, `next` raises StepAbandoned in every rank.
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
    # Not `after % every`: a batch rarely ends exactly on a multiple.
    return before // every != after // every
