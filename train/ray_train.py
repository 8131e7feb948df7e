"""Train with ranks on Ray. After the loss of a rank, Ray Train restarts them from the last checkpoint."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from base.errors import Failure, UsageError
from base.progress import Progress
from base.retry import Retry
from base.storage import Storage
from shards.damage import DamageTolerance
from shards.visits import Share
from train.checks import check_dataset, check_ranks, check_unchanged, fixed_settings, select_version
from train.driver import RankMessages, RankProgress, is_stop_requested, run_until_stopped
from train.interrupt import Interrupt
from train.log import LOG, LogRow, read_log
from train.loop import do_nothing, run_rank
from train.settings import TrainSettings
from train.source import read_training_pairs
from train.spec import TrainSpec, TrainSummary, read_summary
from train.state import finished_checkpoints, read_position
from zero123.build import build_encoders
from zero123.settings import ModelSettings, SamplingSettings

LOOK_EVERY_S = 1.0


@dataclass(frozen=True)
class RankTask:
    """The work of every rank. Relative paths in it are relative to the folder `here`."""

    model: ModelSettings
    settings: TrainSettings
    root: str
    out: str
    here: str
    sampling: SamplingSettings | None


def train_on_ray(spec: TrainSpec, progress: Progress, begin: Callable[[], None] = do_nothing) -> TrainSummary:
    """Run `train` on the ranks of `settings.ray`, on the Ray cluster that this process has joined.

    `spec.out` must be a folder that every machine of the cluster sees. Ctrl-C and SIGTERM let the ranks save for a
    limited time, and then have their usual effect. Raises the errors of `train`, and UsageError for a small cluster.
    """
    settings, out = spec.settings, spec.out
    _check(spec, progress)
    begin()
    from ray.train import FailureConfig, RunConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    task = RankTask(spec.model, settings, spec.storage.root, str(out), str(Path.cwd()), spec.sampling)
    trainer = TorchTrainer(
        run_task,
        train_loop_config={"task": task},
        scaling_config=_scaling(settings),
        torch_config=TorchConfig(timeout_s=round(settings.wait_minutes * 60)),
        # An absolute path, because Ray's processes have folders of their own.
        run_config=RunConfig(
            name="ray", storage_path=str(out.resolve()), failure_config=FailureConfig(settings.ray.failures)
        ),
    )
    with _follow_log(out, settings, progress):
        try:
            run_until_stopped(trainer.fit, out)
        except Exception as error:  # noqa: BLE001 -- any error of a rank ends in a sentence
            raise _failure_of(error) from None
    return read_summary(out, first=True)


def run_task(given: dict[str, RankTask]) -> None:
    """Run a rank, in a process of Ray Train."""
    task = given["task"]
    # On another machine the driver's folder may be missing; then paths must be absolute.
    if Path(task.here).is_dir():
        os.chdir(task.here)
    out = Path(task.out)
    interrupt, progress = Interrupt(lambda: is_stop_requested(out)), RankProgress(out, int(os.environ.get("RANK", "0")))
    run_rank(TrainSpec(task.model, task.settings, Storage(task.root), out, task.sampling), progress, interrupt)


def _check(spec: TrainSpec, progress: Progress) -> None:
    """Raise here, before any rank starts, what every rank would raise."""
    import ray

    settings, out, wanted = spec.settings, spec.out, spec.settings.ray
    finished = finished_checkpoints(out)
    began = read_position(finished[-1]) if finished else None
    if began is not None:
        check_unchanged(began.settings, fixed_settings(spec.model, settings), out)
    retry = Retry(settings.stream.patience_s, progress.say, threading.Event())
    version = select_version(spec.storage, settings, began, out, retry)
    check_dataset(version, spec.model, settings)
    check_ranks(settings, wanted.ranks)
    # The share of the first rank is checked for all: shares differ only in position.
    share, encoder = Share(0, 0, wanted.ranks), lambda: build_encoders(spec.model, settings.seed).digest()
    read_training_pairs(version, spec.storage, settings, share, encoder, DamageTolerance(0, progress.say))
    capacity = ray.cluster_resources()
    for name, each in (("CPU", wanted.cpus_per_rank), ("GPU", wanted.gpus_per_rank)):
        # Ray would wait for ever for resources a cluster of fixed size never gets.
        if capacity.get(name, 0.0) < wanted.ranks * each:
            raise UsageError(
                f"train.ray: expected a cluster of {wanted.ranks * each:g} {name}s for {wanted.ranks} ranks, "
                f"got {capacity.get(name, 0.0):g}"
            )


def _scaling(settings: TrainSettings) -> "ScalingConfig":  # type: ignore[name-defined]  # noqa: F821
    from ray.train import ScalingConfig

    wanted = settings.ray
    resources = {"CPU": wanted.cpus_per_rank, **({"GPU": wanted.gpus_per_rank} if wanted.gpus_per_rank else {})}
    return ScalingConfig(num_workers=wanted.ranks, use_gpu=wanted.gpus_per_rank > 0, resources_per_worker=resources)


@contextmanager
def _follow_log(out: Path, settings: TrainSettings, progress: Progress) -> Iterator[None]:
    """Show the progress in the log of `out` and the messages of the ranks during the block."""
    ended, messages = threading.Event(), RankMessages(out)

    def follow() -> None:
        rows, last = read_log(out / LOG), False
        done = rows[-1].images if rows else 0
        with progress.task("train", total=settings.images, unit="images", done=done) as task:
            while not last:
                last = ended.wait(LOOK_EVERY_S)
                for line in messages.lines():
                    progress.say(line)
                rows = read_log(out / LOG)
                if rows and rows[-1].images > done:
                    task.advance(rows[-1].images - done, note=_note(rows[-1]))
                    done = rows[-1].images

    # `fit` blocks until the end, and ranks on other machines print nothing here.
    follower = threading.Thread(target=follow, name="follow", daemon=True)
    follower.start()
    try:
        yield
    finally:
        ended.set()
        follower.join()


def _note(row: LogRow) -> str:
    return "every step skipped" if row.loss is None else f"loss {row.loss:.3f}"


def _failure_of(error: Exception) -> Failure:
    """Return the rank's own Failure if it raised one."""
    causes = [getattr(cause, "_base_exc", cause) for cause in getattr(error, "worker_failures", {}).values()]
    ours = [cause for cause in causes if isinstance(cause, Failure)]
    if ours:
        return ours[0]
    last = str(causes[0] if causes else error).strip().splitlines() or [type(error).__name__]
    return Failure(f"train: the ranks on Ray ended: {last[-1]}")
