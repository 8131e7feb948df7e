"""Scoring in several processes: workers that die, a parent that is killed, and figures that do not change."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from base.progress import SILENT
from evaluation.datasets.sd30 import Sd30
from evaluation.methods import VIEW_METHODS
from evaluation.picture_metrics import Networks
from evaluation.predicting import PredictionRun, predict_views
from evaluation.predictions import Method
from evaluation.protocol import PROTOCOLS, Protocol, read_protocol
from evaluation.results import ObjectResult, read_result
from evaluation.running import score_objects
from evaluation.scored_folder import score_folder
from evaluation.scoring import ScoringJob
from tests.evaluation.fatal_folders import VICTIM, KillsWorker, score_until_killed
from tests.evaluation.small_sd30 import write_small_sd30
from tests.forked import Forked
from tests.pipeline.processes import command

UIDS = ("brick", "brick2", VICTIM)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three objects, the input copied as their answers, and a protocol of a single quick metric."""
    folder = tmp_path_factory.mktemp("home")
    write_small_sd30(folder / "data")
    shutil.copytree(folder / "data" / "brick", folder / "data" / "brick2")
    values = yaml.safe_load((PROTOCOLS / "sd30-views.yaml").read_text())
    values |= {"targets": [3, 7], "published": []}
    values["views"] = {"sound": values["views"]["sound"] | {"targets": [3, 7], "metrics": ["psnr", "mask-iou"]}}
    (folder / "views.yaml").write_text(yaml.safe_dump(values))
    run = PredictionRun(protocol(folder), Sd30(folder / "data"), UIDS, Method(name="input"), folder / "p", SILENT)
    predict_views(run, VIEW_METHODS["input"])
    return folder


def protocol(home: Path) -> Protocol:
    return read_protocol(str(home / "views.yaml"))


def job(home: Path, rows: Path) -> ScoringJob:
    return ScoringJob(protocol(home), home / "data", home / "p", Networks(), rows)


def rows_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def alone(home: Path) -> dict[str, bytes]:
    """The rows of a single process."""
    score_objects(job(home, home / "alone"), 1, SILENT)
    return rows_of(home / "alone")


def test_an_object_that_kills_its_workers_counts_as_failed(home: Path, alone: dict[str, bytes], tmp_path: Path) -> None:
    found = by_uid(score_objects(job(home, KillsWorker(tmp_path / "rows")), 2, SILENT))
    assert list(found) == list(UIDS)
    assert found["brick"].status == found["brick2"].status == "ok"
    assert found[VICTIM].status == "failed"
    assert found[VICTIM].reason == "expected a figure, but its worker ended 2 times, last with signal 9"
    assert {row.metric for row in found[VICTIM].rows} >= {"psnr", "mask-iou"}
    # The loss is not kept: the machine may have been at fault, and the same command tries again.
    assert read_result(tmp_path / "rows", VICTIM) is None
    again = by_uid(score_objects(job(home, tmp_path / "rows"), 2, SILENT))
    assert again[VICTIM].status == "ok"
    assert rows_of(tmp_path / "rows") == alone


def by_uid(results: Sequence[ObjectResult]) -> dict[str, ObjectResult]:
    return {result.uid: result for result in results}


@pytest.fixture(scope="module")
def report(home: Path) -> dict[str, bytes]:
    """All files of a scored folder, made by a single process without a stop."""
    score_folder("sd30-views", job(home, home / "at-nobody" / "rows"), None, 1, SILENT)
    return files_of(home / "at-nobody")


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("victim", UIDS)
def test_after_a_kill_at_any_object_every_file_is_the_same(
    home: Path, report: dict[str, bytes], tmp_path: Path, victim: str
) -> None:
    rows = tmp_path / f"at-{victim}" / "rows"
    killed = Forked(score_until_killed, str(home / "views.yaml"), str(home / "data"), str(home / "p"), str(rows))
    assert killed.wait(120) == -9
    workers = [int(path.name.rpartition("-")[2]) for path in tmp_path.glob("*.worker-*")]
    assert workers
    wait_for_end(workers)
    kept = {path: path.stat().st_mtime_ns for path in rows.iterdir()}
    assert not (rows.parent / "summary.json").exists()
    score_folder("sd30-views", job(home, rows), None, 2, SILENT)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert files_of(rows.parent) == report


def wait_for_end(pids: Sequence[int]) -> None:
    """Wait until the orphans have ended: they are no children of this process."""
    until = time.monotonic() + 60.0
    while left := [pid for pid in pids if "score_workers" in command(pid) or "spawn_main" in command(pid)]:
        assert time.monotonic() < until, f"workers {left} outlive their parent"
        time.sleep(0.05)


def test_more_workers_than_objects_give_the_same_bytes(home: Path, alone: dict[str, bytes], tmp_path: Path) -> None:
    damaged = replace(job(home, tmp_path / "rows"), predictions=tmp_path / "p")
    shutil.copytree(home / "p", tmp_path / "p")
    (tmp_path / "p" / "views" / VICTIM / "003.png").write_bytes(b"no picture")
    found = by_uid(score_objects(damaged, 5, SILENT))
    assert found[VICTIM].status == "failed"
    assert rows_of(tmp_path / "rows").keys() == alone.keys()
    assert {k: v for k, v in rows_of(tmp_path / "rows").items() if VICTIM not in k} == {
        k: v for k, v in alone.items() if VICTIM not in k
    }
    score_objects(replace(damaged, rows=tmp_path / "one"), 1, SILENT)
    assert rows_of(tmp_path / "one") == rows_of(tmp_path / "rows")
