"""Scoring on the pipeline's crew: the same bytes as here, what is kept, what is lost, and kills."""

import csv
import math
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from app.main import main
from base.errors import Failure
from base.progress import SILENT
from base.storage import Storage
from evaluation.figures_table import FIGURES
from evaluation.results import read_result
from evaluation.running import score_objects
from evaluation.scored_folder import score_folder
from pipeline.catalog.lease import Lease
from pipeline.catalog.tables import Catalog
from pipeline.cluster import FinishedJob
from pipeline.work.worker import ItemJob
from tests.evaluation.fatal_folders import (
    VICTIM,
    KillsItself,
    crew_settings,
    score_on_crew_until_killed,
)
from tests.evaluation.small_home import UIDS, by_uid, files_of, job, write_home
from tests.forked import Forked
from tests.pipeline.builds import Alone


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def here(home: Path) -> dict[str, bytes]:
    """All files of a scored folder, made by a single process."""
    score_folder("sd30-views", job(home, home / "here" / "rows"), None, 1, SILENT)
    return files_of(home / "here")


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crew of one, without Ray, in this process."""
    monkeypatch.setattr("evaluation.score_crew.Crew", Alone)


class Successor(Alone):
    """A crew of one, after a builder that was killed."""

    def replace_builders(self, builders: Collection[str]) -> None:
        assert len(builders) == 1


class Losing(Alone):
    """A crew whose workers are lost over the measurement of VICTIM."""

    def results(self) -> Iterator[FinishedJob]:
        while self.jobs:
            job = self.jobs.popleft()
            is_fatal = isinstance(job, ItemJob) and job.item.uid == VICTIM and not job.item.about
            yield FinishedJob(job, None if is_fatal else self.worker.do(job))


def catalog(out: Path) -> Catalog:
    return Catalog(Storage(out))


def words(home: Path, out: Path, *more: str) -> list[str]:
    at = ["--data", str(home / "data"), "--predictions", str(home / "p"), "--out", str(out)]
    return ["benchmark", "score", str(home / "views.yaml"), *at, "--on", "ray", *more]


@pytest.mark.usefixtures("alone")
def test_the_crew_scores_what_is_missing_into_the_same_bytes(
    home: Path, here: dict[str, bytes], tmp_path: Path
) -> None:
    mine = tmp_path / "home"
    shutil.copytree(home, mine)
    out = tmp_path / "out"
    assert main(words(mine, out)) == 0
    made, rows = files_of(out), [f"rows/{uid}.json" for uid in UIDS]
    assert [made[name] for name in rows] == [here[name] for name in rows]
    assert made["rows.csv"] == here["rows.csv"]
    assert made.keys() == here.keys()
    assert main(words(mine, out)) == 0
    attempts = catalog(out).attempts()
    assert sorted(one.uid for one in attempts) == sorted(UIDS)
    assert [one.fingerprint for one in attempts if one.uid == VICTIM] == [fingerprint(out, VICTIM)]

    (mine / "p" / "views" / VICTIM / "003.png").write_bytes(b"no picture")
    (mine / "data" / "brick2" / "007.png").write_bytes(b"no truth")
    assert main(words(mine, out)) == 1
    last = catalog(out).attempts()[3:]
    assert {one.uid: one.checks for one in last} == {VICTIM: "failed", "brick2": "unusable"}
    table = catalog(out).select(FIGURES, "select * from rows")
    assert {row["uid"]: row["status"] for row in table} == {"brick": "ok", "brick2": "unusable", VICTIM: "failed"}
    assert [row["metric"] for row in table if row["uid"] == "brick2"] == [""]
    assert {row["metric"] for row in table if row["uid"] == VICTIM} >= {"psnr", "mask-iou"}


def fingerprint(out: Path, uid: str) -> str:
    result = read_result(out / "rows", uid)
    assert result is not None
    return result.fingerprint


def test_the_table_of_the_catalogue_has_every_figure(home: Path, here: dict[str, bytes]) -> None:
    printed = list(csv.DictReader(here["rows.csv"].decode().splitlines()))
    names = ("uid", "status", "variant", "view", "sample", "metric", "value")
    found = catalog(home / "here").select(FIGURES, "select * from rows")
    kept = [tuple(row[name] for name in names) for row in found]
    asked = [tuple(row[name] for name in names) for row in printed]
    assert sorted((a, b, c or "facts", d, str(e), f, repr(g)) for a, b, c, d, e, f, g in kept) == sorted(asked)
    assert {row["fingerprint"] for row in found} == {fingerprint(home / "here", uid) for uid in UIDS}
    assert not any(math.isnan(row["value"]) for row in found)
    before = (home / "here" / FIGURES / "_delta_log").stat().st_mtime_ns
    score_folder("sd30-views", job(home, home / "here" / "rows"), None, 1, SILENT)
    assert (home / "here" / FIGURES / "_delta_log").stat().st_mtime_ns == before


@pytest.mark.usefixtures("alone")
def test_a_second_command_is_refused_and_workers_belong_to_one_place(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Lease(Storage(tmp_path), 60.0), pytest.raises(Failure, match="expected to build alone"):
        score_objects(job(home, tmp_path / "rows"), crew_settings(), SILENT)
    assert main(words(home, tmp_path / "out", "--workers", "2")) == 2
    assert "--workers: expected nothing with --on ray" in capsys.readouterr().err


@pytest.mark.slow
def test_an_object_whose_workers_are_lost_counts_as_failed(
    home: Path, here: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evaluation.score_crew.Crew", Losing)
    found = by_uid(score_objects(job(home, tmp_path / "rows"), crew_settings(), SILENT))
    assert {uid: result.status for uid, result in found.items()} == {"brick": "ok", "brick2": "ok", VICTIM: "failed"}
    assert "lost too often" in found[VICTIM].reason
    assert {row.metric for row in found[VICTIM].rows} >= {"psnr", "mask-iou"}
    assert sorted(one.outcome for one in catalog(tmp_path).attempts()) == ["lost", "ok", "ok", "ok"]
    # The loss is not kept: the machine may have been at fault, and the same command tries again.
    assert read_result(tmp_path / "rows", VICTIM) is None
    monkeypatch.setattr("evaluation.score_crew.Crew", Alone)
    score_objects(job(home, tmp_path / "rows"), crew_settings(), SILENT)
    assert {f"rows/{path.name}": path.read_bytes() for path in (tmp_path / "rows").iterdir()} == {
        name: data for name, data in here.items() if name.startswith("rows/")
    }


@pytest.mark.slow
@pytest.mark.parametrize("victim", UIDS)
def test_after_a_kill_of_the_command_every_file_is_the_same(
    home: Path, here: dict[str, bytes], tmp_path: Path, victim: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / f"at-{victim}"
    where = [str(home / "views.yaml"), str(home / "data"), str(home / "p"), str(KillsItself(out / "rows"))]
    monkeypatch.setattr("evaluation.score_crew.Crew", Successor)
    killed = Forked(score_on_crew_until_killed, *where)
    assert killed.wait(180) == -9
    assert not (out / "rows" / f"{victim}.json").exists()
    # Measured, but not yet moved: it is not measured a second time.
    assert len(list((out / "staging").glob(f"{victim}-*/attempt.json"))) == 1
    score_folder("sd30-views", job(home, out / "rows"), None, crew_settings(), SILENT)
    assert files_of(out) == here
    assert figures(out) == figures(home / "here")
    assert sum(one.uid == victim for one in catalog(out).attempts()) == 1


def figures(out: Path) -> list[str]:
    return sorted(map(repr, catalog(out).select(FIGURES, "select * from rows")))
