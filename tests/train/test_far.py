"""Training on a dataset that is far away: the same model, a version that is named, and a prompt end in an outage."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from base.errors import UsageError
from base.progress import SILENT
from base.storage import Storage
from shards.version import read_version
from tests.forked import Forked
from tests.shards.far import Far, served
from tests.train.ranks import main
from tests.train.runs import make_dataset, model_settings, train, train_settings
from tests.train.test_loop import Said, same_state
from tests.train.test_ranks import close, environment, port
from train.cache import CacheJob, cache_latents
from train.log import read_log
from train.spec import TrainSummary
from train.state import finished_checkpoints

ROOT = Path(__file__).parents[2]
PATIENCE_S, PROMPT_S = 600.0, 60.0
"""What a run waits for a store, and what it may take to end on a busy machine when it is asked to."""
REQUESTS = 2


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    return make_dataset(tmp_path_factory.mktemp("far") / "dataset", shards=4)


@pytest.fixture(scope="module")
def near(storage: Storage, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], TrainSummary]:
    """Training on the folder itself, to as many images as are asked for."""
    out = tmp_path_factory.mktemp("near")
    return lambda images: train(
        model_settings(), train_settings(images=images, pairs_per_visit=1), storage, out / str(images), SILENT
    )


@pytest.fixture
def far(storage: Storage) -> Iterator[Far]:
    with served(Path(storage.root).parent) as server:
        yield server


def test_web_server_without_listings_needs_a_version(
    storage: Storage, near: Callable[[int], TrainSummary], far: Far, tmp_path: Path
) -> None:
    there = Storage(f"{far.address}/dataset")
    with pytest.raises(UsageError, match=r"set train\.version"):
        train(model_settings(), train_settings(images=32), there, tmp_path, SILENT)
    settings = train_settings(images=32, pairs_per_visit=1, version=1)
    done = train(model_settings(), settings, there, tmp_path, SILENT)
    same_state(done.checkpoint, near(32).checkpoint)
    again = train(model_settings(), settings.model_copy(update={"images": 40, "version": 0}), there, tmp_path, SILENT)
    assert again.images == 40, "a run knows its version"
    with pytest.raises(UsageError, match=r"train.version: expected 1, with which the run in .* began, got 2"):
        train(model_settings(), settings.model_copy(update={"images": 48, "version": 2}), there, tmp_path, SILENT)


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("/shards/", {"validation": {"every_images": 8, "objects": 1}}),
        ("/versions/1.json", {}),
        ("-latents-", {"cached_latents": True}),
    ],
)
def test_what_is_read_before_the_first_step_is_waited_for_too(
    storage: Storage, far: Far, tmp_path: Path, part: str, changes: dict[str, Any]
) -> None:
    cache_latents(CacheJob(storage, read_version(storage), model_settings(), 0, "cpu", 1), 1, SILENT)
    settings = train_settings(images=8, pairs_per_visit=1, version=1, **changes)
    real, said = far.answer, Said()

    def away_at_first(request: BaseHTTPRequestHandler) -> None:
        far.away = 503 if part in request.path and not far.refused else 0
        real(request)

    far.answer = away_at_first  # type: ignore[method-assign]
    done = train(model_settings(), settings, Storage(f"{far.address}/dataset"), tmp_path, said)
    assert done.images == 8
    assert far.refused == 1
    assert len(said.lines) == 1
    assert "503" in said.lines[0]


def test_unreachable_web_server_is_waited_for(far: Far, tmp_path: Path) -> None:
    class Mending(Said):
        def say(self, line: str) -> None:
            super().say(line)
            far.away = 0

    said, settings = Mending(), train_settings(images=8, pairs_per_visit=1)
    far.lists, far.away = True, "gone"
    assert train(model_settings(), settings, Storage(f"{far.address}/dataset"), tmp_path, said).images == 8
    assert "could not look for" in said.lines[0]
    assert "/dataset/versions: Server disconnected" in said.lines[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("away", "asks", "ranks", "workers"),
    [(503, 3, 1, 2), ("silent", 1, 1, 0), (503, 3, 1, 0), ("gone", 3, 2, 1), ("silent", 1, 1, 2)],
)
def test_signal_ends_waiting_for_the_store(
    near: Callable[[int], TrainSummary], far: Far, tmp_path: Path, away: int | str, asks: int, ranks: int, workers: int
) -> None:
    """All of it is saved: what was learnt before is what training on the folder has learnt."""
    stream = {"workers": workers, "requests": REQUESTS, "patience_s": PATIENCE_S}
    changes = {"images": 100_000, "version": 1, "log_every_images": 8, "pairs_per_visit": 1, "stream": stream}
    words = [f"{far.address}/dataset", str(tmp_path), json.dumps(changes)]
    alone, where = {**os.environ, "PYTHONPATH": str(ROOT)}, port()
    environments = [environment(rank, where) for rank in range(ranks)] if ranks > 1 else [alone]
    runs = [Forked(main, *words, env=one) for one in environments]
    try:
        _until(lambda: bool(finished_checkpoints(tmp_path)), runs)
        far.away = away
        _until(lambda: far.refused >= asks * REQUESTS * ranks * max(1, workers), runs)
        _until(partial(_still, tmp_path, []), runs)
        for run in runs:
            run.send_signal(signal.SIGINT)
        ends = [run.wait(PROMPT_S) for run in runs]
    finally:
        for run in runs:
            run.kill()
            run.wait()
    assert ends == [-signal.SIGINT] * ranks
    newest = finished_checkpoints(tmp_path)[-1]
    expected = near(int(newest.name)).checkpoint
    if ranks == 1:
        same_state(newest, expected)
    else:
        close(newest, expected)


def _still(out: Path, seen: list[tuple[float, int]]) -> bool:
    """Whether a run has learnt nothing for a second: what it had read before is used up."""
    now, images = time.monotonic(), read_log(out / "log.jsonl")[-1].images
    if not seen or images > seen[0][1]:
        seen[:] = [(now, images)]
    return now - seen[0][0] > 1.0


def _until(reached: Callable[[], bool], runs: list[Forked]) -> None:
    while not reached():
        assert all(run.poll() is None for run in runs)
        time.sleep(0.02)
