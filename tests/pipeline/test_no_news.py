"""Builds of which nothing comes: no shard is packed anew, no version made, and what there was stays the newest."""

import secrets
import time
from dataclasses import replace
from pathlib import Path

import pytest

from base.errors import Failure
from base.outcomes import Outcome
from base.progress import SILENT
from pipeline.builder import BuildSettings, build
from pipeline.catalog.rows import Attempt
from pipeline.catalog.tables import Catalog
from pipeline.dataset.history import list_versions, restore
from pipeline.dataset.vacuum import vacuum
from pipeline.work.pack import PackResult
from pipeline.work.worker import ItemJob, Job, Worker
from shards.version import read_version, version_numbers
from tests.pipeline.builds import Told, files, models, storage, tiny

pytestmark = pytest.mark.usefixtures("in_this_process")


class Throttled(Worker):
    """A worker whose server is too busy for the stool."""

    def do(self, job: Job) -> Attempt | PackResult:
        if isinstance(job, ItemJob) and job.item.title == "stool":
            return replace(ended(self, job, Outcome.THROTTLED), reason=f"in {time.time()} s")
        return super().do(job)


class Broken(Worker):
    """A worker with whom nothing ends well."""

    def do(self, job: Job) -> Attempt | PackResult:
        return ended(self, job, Outcome.CRASH) if isinstance(job, ItemJob) else super().do(job)


class Unsupported(Worker):
    """A worker who knows nothing of stools."""

    def do(self, job: Job) -> Attempt | PackResult:
        stool = isinstance(job, ItemJob) and job.item.title == "stool"
        return ended(self, job, Outcome.UNSUPPORTED) if stool else super().do(job)


def ended(worker: Worker, job: Job, outcome: Outcome) -> Attempt:
    assert isinstance(job, ItemJob)
    uid, sha256 = job.item.uid, job.item.sha256
    known = {"uid": uid, "sha256": sha256, "fingerprint": worker.stage.fingerprint(sha256), "reason": "broken"}
    return Attempt(attempt=secrets.token_hex(8), run=worker.spec.run, outcome=outcome, at=time.time(), **known)


def settings_for(tmp_path: Path, **sections: dict[str, object]) -> BuildSettings:
    folder = models(tmp_path / "models", "stool", "avocado")
    return tiny(tmp_path / "dataset", folder, **sections)


def data(tmp_path: Path) -> dict[str, bytes]:
    return files(tmp_path / "dataset", "shards", "versions", "catalog/objects")


def test_repeated_outcome_makes_no_version(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    first = build(settings, SILENT, make=Throttled)
    assert (first.version, first.outcomes) == (1, {"ok": 1, "throttled": 1})
    before = data(tmp_path)
    second = build(settings, told := Told(), make=Throttled)
    assert second.version == 1
    assert second.rendered == 0
    assert second.shards_written == ()
    assert not second.idle
    assert "render 1" in second.plan
    assert data(tmp_path) == before
    assert any("throttled" in line for line in told.lines)

    third = build(settings, SILENT)
    assert third.version == 2
    assert third.rendered == 1
    assert third.outcomes == {"ok": 2}
    rows = {row.title: row for row in Catalog(storage(settings)).objects().values()}
    assert (rows["stool"].attempts, rows["avocado"].attempts) == (3, 1), "those that brought no news count"
    assert build(settings, SILENT).idle


def test_a_new_object_is_no_reason_to_forget_the_others(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    build(settings, SILENT, make=Throttled)
    models(tmp_path / "models", "burger")
    found = build(settings, SILENT, make=Throttled)
    assert found.version == 2
    assert found.outcomes == {"ok": 2, "throttled": 1}
    assert len(found.shards_written) == 1
    attempts = {row.title: row.attempts for row in Catalog(storage(settings)).objects().values()}
    assert attempts == {"stool": 2, "avocado": 1, "burger": 1}


def test_a_build_in_which_nothing_succeeds_makes_no_version(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    for _ in range(2):
        with pytest.raises(Failure, match=r"got nothing of 2:\n  \w+: crash: broken\n"):
            build(settings, SILENT, make=Broken)
        assert version_numbers(storage(settings)) == []
    assert build(settings, SILENT, retry=frozenset({"crash"})).outcomes == {"ok": 2}


def test_failed_new_settings_keep_the_version(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    build(settings, SILENT)
    before = data(tmp_path)
    for _ in range(2):
        with pytest.raises(Failure, match="nothing of 2"):
            build(settings_for(tmp_path, render={"samples": 2}), SILENT, make=Broken)
        assert data(tmp_path) == before
    assert build(settings, SILENT).idle


def test_rules_without_objects_keep_the_version(tmp_path: Path) -> None:
    build(settings_for(tmp_path), SILENT)
    before = data(tmp_path)
    picky = settings_for(tmp_path, objects={"filter": {"categories": ["chiar"], "unstated_licence": "any"}})
    with pytest.raises(Failure, match=r"filtered: filter\.categories: expected any of chiar, got nothing"):
        build(picky, told := Told())
    said = "\n".join(told.lines)
    assert "left out: 2 by filter.categories" in said
    assert "filter.categories: no object is of chiar" in said
    assert data(tmp_path) == before


def test_a_version_of_other_facts_is_not_nothing_to_do(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    build(settings, SILENT)
    (tmp_path / "models" / "OBJECTS.csv").write_text("path,tags\nstool.glb,wood\n")
    summary = build(settings, SILENT)
    assert summary.version == 2
    assert not summary.idle
    assert summary.shards_written == ()
    assert "version 2: 0 objects rendered, 2 reused" in summary.sentence()


def test_a_damaged_file_of_the_newest_version_is_derived_again(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    build(settings, SILENT)
    path = tmp_path / "dataset" / "versions" / "1.json"
    written = path.read_bytes()
    path.write_bytes(written[:-20])
    assert build(settings, SILENT).idle
    assert path.read_bytes() == written


def test_the_card_tells_the_settings_of_its_version(tmp_path: Path) -> None:
    build(settings_for(tmp_path, render={"samples": 3}), SILENT)
    build(settings_for(tmp_path, render={"samples": 5}), SILENT)
    card = tmp_path / "dataset" / "README.md"
    assert "samples: 5" in card.read_text()
    made = restore(storage(settings_for(tmp_path)), 1, 60.0)
    assert (made.number, made.shards) == (3, read_version(storage(settings_for(tmp_path)), 1).shards)
    assert "samples: 3" in card.read_text()
    assert str(tmp_path) not in card.read_text()


def test_to_try_again_in_vain_changes_nothing_either(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    build(settings, SILENT, make=Unsupported)
    before = data(tmp_path)
    found = build(settings, SILENT, make=Unsupported, retry=frozenset({"unsupported"}))
    assert (found.version, found.shards_written) == (1, ())
    assert data(tmp_path) == before


def test_a_stopped_change_of_settings_makes_no_version_of_both(tmp_path: Path) -> None:
    alone = {"shards": {"objects_per_shard": 1}}
    build(settings_for(tmp_path, **alone), SILENT)
    other = settings_for(tmp_path, run={"seed": 1}, **alone)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            build(other, Told(on_advance=stop))
        assert version_numbers(storage(other)) == [1]
    assert build(other, SILENT).reused == 2, "what was rendered waited"
    card = (tmp_path / "dataset" / "README.md").read_text()
    assert "seed: 1" in card


def stop() -> None:
    raise KeyboardInterrupt


def test_damaged_old_version_is_tolerated(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    build(settings, SILENT)
    build(settings_for(tmp_path, render={"samples": 2}), SILENT)
    before = list_versions(storage(settings))
    (tmp_path / "dataset" / "versions" / "1.json").write_text("{")
    assert list_versions(storage(settings)) == before
    assert vacuum(storage(settings), 1e9, 60.0).versions == ()
    assert vacuum(storage(settings), 0.0, 60.0).versions == (1,)


def test_a_dry_run_says_when_no_object_would_stand(tmp_path: Path) -> None:
    picky = settings_for(tmp_path, objects={"filter": {"categories": ["chiar"], "unstated_licence": "any"}})
    build(picky, told := Told(), dry_run=True)
    assert "no object would remain: no version would be made" in told.lines[-1]
