"""Ranks on Ray: they learn what one process learns, come back after one is killed, and say what is wrong."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.settings import load_settings
from base.errors import UsageError
from base.measure import _tree
from base.progress import SILENT
from base.storage import Storage
from pipeline.cluster import ray_for
from tests.train.rows import row
from tests.train.runs import make_dataset, model_settings, train, train_settings
from tests.train.test_loop import Stopped, own_sigterm
from tests.train.test_ranks import close
from train.driver import STOP, is_stop_requested
from train.log import LOG, read_log
from train.ray_train import _note, train_on_ray
from train.spec import TrainSpec
from train.state import finished_checkpoints

pytestmark = [
    pytest.mark.server,
    pytest.mark.filterwarnings("ignore:`use_.*deprecated"),  # Ray's own use of Ray
]

RAY = {"ranks": 2, "cpus_per_rank": 1.0, "gpus_per_rank": 0.0, "failures": 1}


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    return make_dataset(tmp_path_factory.mktemp("ray") / "dataset", shards=2)


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    run = load_settings(None).run.model_copy(update={"workers": 2, "cpus_per_worker": 1.0})
    with ray_for(run):
        yield


def kill_a_rank_of(out: Path, killed: list[int]) -> None:
    """SIGKILL one of the processes that train into `out`, once its first checkpoint is there."""
    while not list((out / "checkpoints").glob("[0-9]*")):
        time.sleep(0.05)
    titles = {pid: Path(f"/proc/{pid}/cmdline") for pid in _tree(os.getpid())}
    killed += [pid for pid, title in titles.items() if title.is_file() and b"RayTrainWorker" in title.read_bytes()]
    os.kill(killed[0], signal.SIGKILL)


def test_two_ranks_on_ray_outlive_one_of_them(
    ray_here: None, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was learnt is told without a model or a device in the driver, which may have neither memory nor GPU."""
    settings = train_settings(images=320, ray=RAY, checkpoint_every_images=16)
    killed: list[int] = []
    killer = threading.Thread(target=kill_a_rank_of, args=(tmp_path / "ray", killed), daemon=True)
    killer.start()
    with monkeypatch.context() as driver:
        driver.setattr("train.loop.run_rank", None)
        done = train_on_ray(TrainSpec(model_settings(), settings, storage, tmp_path / "ray"), SILENT)
    alone = train(model_settings(), train_settings(images=320), storage, tmp_path / "alone", SILENT)
    assert done.images == 320
    assert done.first
    assert done.log == tuple(read_log(tmp_path / "ray" / LOG))
    assert done.seconds > 0
    assert len(killed) == 2
    close(done.checkpoint, alone.checkpoint)
    assert [row.images for row in read_log(tmp_path / "ray" / LOG)] == list(range(16, 321, 16))


def signal_after(out: Path, rows: int, number: int) -> None:
    """Send this process a signal once the log has so many rows more."""
    rows += len(read_log(out / LOG))
    while len(read_log(out / LOG)) < rows:
        time.sleep(0.05)
    os.kill(os.getpid(), number)


def test_signal_saves_and_the_next_call_resumes(ray_here: None, storage: Storage, tmp_path: Path) -> None:
    """Whatever a driver that was killed may have left."""
    out = tmp_path / "ray"
    endless = train_settings(images=100_000, ray=RAY, log_every_images=8, checkpoint_every_images=100_000)
    for number, stops in ((signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Stopped)):
        threading.Thread(target=signal_after, args=(out, 2, number), daemon=True).start()
        with own_sigterm(), pytest.raises(stops):
            train_on_ray(TrainSpec(model_settings(), endless, storage, out), SILENT)
        assert not is_stop_requested(out)
        (out / STOP).touch()
    first, second = (int(folder.name) for folder in finished_checkpoints(out))
    assert second >= first + 16
    assert [row.images for row in read_log(out / LOG)] == list(range(8, second + 1, 8))
    alone = train(model_settings(), train_settings(images=second), storage, tmp_path / "alone", SILENT)
    close(finished_checkpoints(out)[-1], alone.checkpoint)


def test_a_cluster_that_is_too_small_is_told_at_once(ray_here: None, storage: Storage, tmp_path: Path) -> None:
    for ranks, sentence in (
        (2, r"train.ray: expected a cluster of 128 CPUs for 2 ranks, got \d"),
        (4, r"ranks × workers to divide the 2 streams of split 'train' \(2 shards\), got 4; take fewer train.stream.w"),
        (3, r"train.batch: expected a multiple of the 3 ranks, got 8"),
    ):
        settings = train_settings(ray={**RAY, "ranks": ranks, "cpus_per_rank": 64.0})
        with pytest.raises(UsageError, match=sentence):
            train_on_ray(TrainSpec(model_settings(), settings, storage, tmp_path), SILENT)


def test_changed_settings_are_refused_before_ranks_start(ray_here: None, storage: Storage, tmp_path: Path) -> None:
    train(model_settings(), train_settings(images=8), storage, tmp_path, SILENT)
    other, begun = train_settings(ray=RAY, seed=1), list[bool]()
    with pytest.raises(UsageError, match=r"train.seed: expected 0, with which the run in .* began, got 1"):
        train_on_ray(TrainSpec(model_settings(), other, storage, tmp_path), SILENT, lambda: begun.append(True))
    assert not begun


def test_a_row_without_a_loss_says_why() -> None:
    assert _note(row(8, 0.5)) == "loss 0.500"
    assert _note(row(8, None)) == "every step skipped"
