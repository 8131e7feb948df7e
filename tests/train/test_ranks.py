"""Several ranks: the same batches and losses as one, one stop for all, and a rank that does not come is named."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from base.errors import Failure, UsageError
from base.progress import SILENT
from base.storage import Storage
from tests.forked import Forked
from tests.train.ranks import main
from tests.train.runs import make_dataset, model_settings, train, train_settings
from train.checks import check_ranks
from train.log import read_log
from train.state import finished_checkpoints
from train.validation import read_scores
from train.world import World, world_for

ROOT = Path(__file__).parents[2]
THREE = {"WORLD_SIZE": "3"}
READY = """
import sys
import train.world
print("ready", flush=True)
sys.stdin.readline()
"""
"""Before `JOINS`: loading torch must not count for the seconds in which ranks have to meet."""
JOINS = """
import sys
from train.world import world_for
with world_for("cpu", 5.0) as world:
    print("joined", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    return make_dataset(tmp_path_factory.mktemp("ranks") / "dataset", shards=2)


def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def environment(rank: int, where: int) -> dict[str, str]:
    ours = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    return {**os.environ, **ours, "MASTER_PORT": str(where), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def command(storage: Storage, out: Path, **changes: Any) -> list[str]:
    return ["-m", "tests.train.ranks", storage.root, str(out), json.dumps(changes)]


def close(one: Path, other: Path) -> None:
    a, b = (load_file(folder / "training_state" / "weights.safetensors") for folder in (one, other))
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-3, atol=1e-4)


def stop_one_of_two(storage: Storage, out: Path, rows: int, **changes: Any) -> None:
    """SIGTERM reaches the second of two ranks once the log has so many rows; both end, the first as if it were done."""
    words, where = command(storage, out, **changes)[2:], port()
    ranks = [Forked(main, *words, env=environment(rank, where)) for rank in range(2)]
    try:
        while len(read_log(out / "log.jsonl")) < rows and all(rank.poll() is None for rank in ranks):
            time.sleep(0.05)
        ranks[1].terminate()
        told = [rank.communicate(timeout=120)[0] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0, -signal.SIGTERM]
    assert told[0] == f"{int(finished_checkpoints(out)[-1].name)} images\n"


def test_two_ranks_learn_what_one_learns_and_stop_together(storage: Storage, tmp_path: Path) -> None:
    """SIGTERM reaches one of two ranks; both stop after the same image, and one rank alone goes on from there."""
    two, one = tmp_path / "two", tmp_path / "one"
    stop_one_of_two(storage, two, rows=2, images=100_000, log_every_images=8)
    (checkpoint,) = finished_checkpoints(two)[-1:]
    images = int(checkpoint.name)
    alone = train(model_settings(), train_settings(images=images, log_every_images=8), storage, one, SILENT)
    close(checkpoint, alone.checkpoint)
    rows = read_log(two / "log.jsonl")
    assert [row.images for row in rows] == [row.images for row in alone.log]
    for row, same in zip(rows, alone.log, strict=True):
        assert row.loss == pytest.approx(same.loss, rel=1e-4)
    more = train_settings(images=images + 16, log_every_images=8)
    close(*(train(model_settings(), more, storage, out, SILENT).checkpoint for out in (two, one)))


def test_two_ranks_leave_a_validation_together(storage: Storage, tmp_path: Path) -> None:
    """They have an odd number of objects between them; the row of the first step is written before they begin."""
    validation = {"every_images": 8, "objects": 7, "steps": 200}
    stop_one_of_two(storage, tmp_path, rows=1, images=100_000, log_every_images=8, validation=validation)
    assert [folder.name for folder in finished_checkpoints(tmp_path)] == ["0000000008"]
    assert read_scores(tmp_path) == []


@pytest.mark.slow
def test_torchrun_starts_the_ranks(storage: Storage, tmp_path: Path) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1"]
    launcher += ["--log-dir", str(tmp_path / "logs")]  # else it leaves a folder in TMPDIR
    done = subprocess.run(
        [*launcher, "--master-port", str(port()), *command(storage, tmp_path, images=16)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines().count("16 images") == 2
    assert [folder.name for folder in finished_checkpoints(tmp_path)] == ["0000000016"]


def test_a_rank_that_does_not_come_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    where = port()
    for name, value in environment(0, where).items():
        monkeypatch.setenv(name, value)
    other = subprocess.Popen(
        [sys.executable, "-c", JOINS], env=environment(1, where), cwd=ROOT, stdin=subprocess.PIPE, text=True
    )
    try:
        with world_for("cpu", 5.0) as world:
            assert world.rank == 0
            assert world.size == 2
            assert world.first
            impatient = replace(world, wait_minutes=0.01)
            with pytest.raises(
                Failure, match=r"here: expected all 2 ranks within 0.01 minutes; rank 0 waited for rank 1"
            ):
                impatient.barrier("here")
    finally:
        other.kill()
        other.communicate()


@pytest.mark.parametrize(
    "talk",
    [lambda world: world.any_rank(flag=True), lambda world: world.gather(1), lambda world: world.sum(torch.ones(2))],
)
def test_lost_rank_is_reported(monkeypatch: pytest.MonkeyPatch, talk: Callable[[World], object]) -> None:
    where = port()
    for name, value in environment(0, where).items():
        monkeypatch.setenv(name, value)
    other = subprocess.Popen(
        [sys.executable, "-c", JOINS],
        env=environment(1, where),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with world_for("cpu", 1.0) as world:
        world.stage = "here"
        assert other.stdout
        other.stdout.readline()
        other.kill()
        other.communicate()
        with pytest.raises(
            Failure, match=r"here: rank 0 lost (another rank|rank 1) while they worked together: .*closed by"
        ):
            talk(world)


@pytest.mark.slow
def test_a_rank_that_hangs_while_they_work_together_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.world.AFTER_LOSS", timedelta(seconds=5))
    where, told = port(), r"there: rank 0 lost rank 2 while they worked together: .*[Tt]imed out"
    for name, value in (environment(0, where) | THREE).items():
        monkeypatch.setenv(name, value)
    waits = READY + JOINS.replace("5.0", "0.05")
    programs = (waits.replace("sys.stdin.read()", "world.gather(1)"), waits)
    others = [
        subprocess.Popen(
            [sys.executable, "-c", program], env=environment(rank, where) | THREE, cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for rank, program in enumerate(programs, start=1)
    ]  # fmt: skip
    try:
        for other in others:
            assert other.stdout is not None
            assert other.stdout.readline() == "ready\n"
        for other in others:
            assert other.stdin is not None
            other.stdin.write("\n")
            other.stdin.flush()
        with world_for("cpu", 0.05) as world:
            world.stage = "there"
            with pytest.raises(Failure, match=told):
                world.gather(0)
        assert re.search(r"train: rank 1 lost (another rank|rank \d) while", others[0].communicate()[1])
    finally:
        for other in others:
            other.kill()
            other.communicate()


def test_ranks_that_do_not_all_start_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    where = port()
    for rank, problem in ((0, "1/2 clients joined"), (1, "timed out")):
        for name, value in environment(rank, where).items():
            monkeypatch.setenv(name, value)
        met = rf"train: expected all 2 ranks to start within 0.03 minutes and to meet at 127.0.0.1:{where}"
        with pytest.raises(Failure, match=rf"{met}; rank {rank} got: .*{problem}"):
            world_for("cpu", 0.03).__enter__()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE: expected a number, as torchrun sets it, got 'two'"),
        ({"RANK": None}, "RANK: expected one beside WORLD_SIZE 2, as torchrun sets it, got nothing"),
        ({"MASTER_ADDR": None}, "MASTER_ADDR: expected one beside WORLD_SIZE 2, .*, got nothing"),
        ({"RANK": "2"}, "RANK: expected less than WORLD_SIZE, 2, got 2"),
    ],
)
def test_an_environment_that_describes_no_world(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str | None], sentence: str
) -> None:
    for name, value in (environment(0, 1) | changes).items():
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=sentence):
        world_for("cpu", 1.0).__enter__()


def test_a_world_of_one_waits_for_nobody() -> None:
    world = World(0, 1, torch.device("cpu"), 0.001)
    world.barrier("here")
    assert world.any_rank(True)  # noqa: FBT003
    assert world.gather("x") == ["x"]
    assert world.sum(torch.ones(2)).tolist() == [1.0, 1.0]


def test_ranks_that_do_not_fit_the_batch_or_the_shards(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"train.batch: expected a multiple of the 3 ranks, got 8"):
        check_ranks(train_settings(), 3)
    four = World(0, 4, torch.device("cpu"), 1.0)
    monkeypatch.setattr(World, "barrier", lambda *_: None)
    monkeypatch.setattr(World, "gather", lambda _, value: [value])
    monkeypatch.setattr("train.loop.world_for", lambda *_: _entered(four))
    with pytest.raises(
        UsageError, match=r"expected ranks × workers to divide the 2 streams of split 'train' \(2 shards\)"
    ):
        train(model_settings(), train_settings(), storage, tmp_path, SILENT)
    for name, value in environment(0, 1).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=r"train.device: expected auto, cpu or cuda for several ranks, got 'cuda:1'"):
        world_for("cuda:1", 1.0).__enter__()


class _entered:  # noqa: N801 -- stands for a function
    def __init__(self, world: World) -> None:
        self.world = world

    def __enter__(self) -> World:
        return self.world

    def __exit__(self, *_: object) -> None:
        return None
