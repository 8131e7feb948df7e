"""The loop: pairs in, a view-conditioned denoiser out. The same call again goes on where the last one ended."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch

from base.errors import Failure
from base.progress import Progress
from base.storage import Storage
from shards.stream import Pair
from shards.version import read_version
from shards.visits import Share
from train.batch import batch_of, mirrored
from train.checks import check_dataset, check_same, fixed_settings
from train.draws import draws_for
from train.ema import Ema
from train.interrupt import Interrupt
from train.log import Log, Row, Since
from train.loss import losses
from train.memo import LatentMemo
from train.optimiser import learning_rate, new_optimiser, set_learning_rate, trained_parameters
from train.settings import TrainSettings
from train.source import training_pairs
from train.state import Learner, Position, complete, load_learner, read_position, save_state
from zero123.build import build_pipeline
from zero123.conditioning import Dropout
from zero123.pipeline import Zero123Pipeline
from zero123.settings import ModelSettings


@dataclass(frozen=True)
class TrainSummary:
    """A finished run: `images` learnt from, `seconds` spent over all calls, the newest checkpoint, the log's rows."""

    images: int
    seconds: float
    checkpoint: Path
    log: tuple[Row, ...]

    @property
    def loss_curve(self) -> tuple[tuple[int, float], ...]:
        """(images, mean loss since the point before)."""
        return tuple((row.images, row.loss) for row in self.log)


def train(
    model: ModelSettings, settings: TrainSettings, storage: Storage, out: Path, progress: Progress
) -> TrainSummary:
    """Train on the newest version of the dataset in `storage` until `settings.images`, with checkpoints below `out`.

    Ctrl-C and SIGTERM save and then do what they always do. Raises UsageError for settings that do not fit the dataset
    or the run in `out`, Failure for a damaged dataset, a loss that is no number, or a disk that is full.
    """
    with _threads(settings.threads):
        run = _Run(model, settings, storage, out)
        if run.position.images < settings.images:
            with Interrupt() as interrupt:
                run.learn(progress, interrupt)
        return TrainSummary(run.position.images, run.position.seconds, complete(out)[-1], tuple(run.log.rows))


class _Run:
    """One run between two checkpoints' worth of state."""

    def __init__(self, model: ModelSettings, settings: TrainSettings, storage: Storage, out: Path) -> None:
        self.settings, self.storage, self.out = settings, storage, out
        fixed = fixed_settings(model, settings)
        finished = complete(out)
        folder = finished[-1] if finished else None
        self.position: Position
        if folder is None:
            self.version = read_version(storage)
            self.position = Position(0, 0, 0.0, self.version.number, fixed)
            pipeline = build_pipeline(model, settings.seed)
        else:
            self.position = read_position(folder)
            check_same(self.position.settings, fixed, out)
            self.version = read_version(storage, self.position.version)
            pipeline = Zero123Pipeline.from_pretrained(folder)
        check_dataset(self.version, model, settings)
        self.pipeline = pipeline.to(settings.device)
        parameters = trained_parameters(self.pipeline)
        optimiser = new_optimiser(parameters, settings.optimiser)
        self.learner = Learner(parameters, optimiser, Ema(parameters, settings.ema_decay))
        if folder is not None:
            load_learner(folder, self.learner)
        self.log = Log(out / "log.jsonl", self.position.images)
        self.memo = LatentMemo(self.pipeline.vae, settings.latent_memo_mb << 20)

    def learn(self, progress: Progress, interrupt: Interrupt) -> None:
        """Step until the last image or until asked to stop; the state is saved in either case."""
        settings = self.settings
        for parameter in self.learner.parameters.values():
            parameter.requires_grad = True
        pairs = training_pairs(self.version, self.storage, settings, Share(self.position.images, 0, 1), progress.say)
        since, rate = Since(), 0.0
        with progress.task("train", total=settings.images, unit="images", done=self.position.images) as task:
            while self.position.images < settings.images and not interrupt.asked:
                began = time.monotonic()
                batch = list(islice(pairs, settings.batch))
                waited = time.monotonic() - began
                loss, norm, rate = self._step(batch)
                before = self.position.images
                self._advance(time.monotonic() - began)
                since.add(loss, norm, waited, time.monotonic() - began, settings.batch)
                if _crossed(before, self.position.images, settings.log_every_images):
                    self.log.add(since.row(self.position.images, rate))
                    since = Since()
                if _crossed(before, self.position.images, settings.checkpoint_every_images):
                    self._save()
                task.advance(settings.batch, note=f"loss {loss:.3f}")
        if since.images:
            self.log.add(since.row(self.position.images, rate))
        if self.position.images:
            self._save()

    def _save(self) -> None:
        save_state(self.out, self.pipeline, self.learner, self.position, self.settings.keep_checkpoints)

    def _step(self, pairs: Sequence[Pair]) -> tuple[float, float, float]:
        """One optimiser step; (mean loss, gradient norm, learning rate)."""
        settings, learner = self.settings, self.learner
        dropout = Dropout(**settings.dropout.model_dump())
        total = 0.0
        for start in range(0, len(pairs), settings.images_at_once):
            some = pairs[start : start + settings.images_at_once]
            draws = draws_for(settings.seed, [pair.number for pair in some], self.pipeline.latent_shape)
            flips = (draws.mirror < settings.mirror).tolist()
            seen = [mirrored(pair) if flip else pair for pair, flip in zip(some, flips, strict=True)]
            batch = batch_of(self.pipeline, seen, draws.posterior, self.memo)
            each = losses(self.pipeline, batch, draws, dropout, settings.timestep_power)
            _check_finite(each, some)
            loss = each.sum() / len(pairs)
            loss.backward()
            total += float(loss.detach())
        rate = learning_rate(settings.optimiser, self.position.images, settings.images)
        set_learning_rate(learner.optimiser, rate)
        limit = settings.optimiser.clip_norm or float("inf")
        norm = float(torch.nn.utils.clip_grad_norm_(learner.parameters.values(), limit))
        learner.optimiser.step()
        learner.optimiser.zero_grad(set_to_none=True)
        learner.ema.update(self.position.steps + 1)
        return total, norm, rate

    def _advance(self, seconds: float) -> None:
        now = self.position
        self.position = Position(
            now.images + self.settings.batch, now.steps + 1, now.seconds + seconds, now.version, now.settings
        )


def _crossed(before: int, after: int, every: int) -> bool:
    return before // every != after // every


def _check_finite(each: torch.Tensor, pairs: Sequence[Pair]) -> None:
    wrong = [pair for pair, fine in zip(pairs, torch.isfinite(each).tolist(), strict=True) if not fine]
    if wrong:
        named = ", ".join(f"{pair.uid} {pair.source}→{pair.target} (number {pair.number})" for pair in wrong[:8])
        raise Failure(
            f"train: expected a loss that is a number, got none for {len(wrong)} of {len(pairs)} pairs: {named}"
        )


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
