"""Scoring in several processes: workers that die, a parent that is killed, and figures that do not change."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from base.progress import SILENT
from evaluation.results import read_result
from evaluation.running import score_objects
from evaluation.scored_folder import score_folder
from tests.evaluation.fatal_folders import VICTIM, KillsWorker, score_until_killed
from tests.evaluation.small_home import UIDS, by_uid, files_of, job, write_home
from tests.forked import Forked
from tests.pipeline.processes import command

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_home(tmp_path_factory.mktemp("home"))


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


@pytest.fixture(scope="module")
def report(home: Path) -> dict[str, bytes]:
    """All files of a scored folder, made by a single process without a stop."""
    score_folder("sd30-views", job(home, home / "at-nobody" / "rows"), None, 1, SILENT)
    return files_of(home / "at-nobody")


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
    while left := [pid for pid in pids if "forkserver" in command(pid)]:
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
