"""Objects with the same bytes: one stands for all, and another takes its place when its own cannot be had."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from base.outcomes import Outcome
from base.progress import SILENT
from pipeline.builder import BuildSettings, build
from pipeline.catalog.rows import Attempt, ObjectRow
from pipeline.catalog.tables import Catalog
from pipeline.ledger import Ledger
from pipeline.plan.plan import State
from pipeline.work.pack import PackResult
from pipeline.work.worker import ItemJob, Job, Worker
from tests.pipeline.builds import Told, models, storage, tiny
from tests.pipeline.plan.test_plan import attempt, item, merged, packed, planned, rebuilt
from tests.pipeline.test_no_news import ended

GONE = set[str]()
"""Titles of the objects whose bytes cannot be had."""


pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture(autouse=True)
def _everyone_is_there() -> None:
    GONE.clear()


class Fetching(Worker):
    """A worker to whom some servers answer 404, or nothing."""

    def do(self, job: Job) -> Attempt | PackResult:
        if isinstance(job, ItemJob) and job.item.title in GONE:
            outcome = Outcome.LOST if job.item.title.startswith("lost") else Outcome.MISSING
            return replace(ended(self, job, outcome), phase="fetch")
        return super().do(job)


def three_alike(tmp_path: Path, *titles: str) -> BuildSettings:
    folder = models(tmp_path / "models", "stool")
    for title in titles:
        shutil.copy(folder / "stool.glb", folder / f"{title}.glb")
    (folder / "stool.glb").unlink()
    models(folder, "avocado")
    return tiny(tmp_path / "dataset", folder, shards={"objects_per_shard": 1})


def outcomes(settings: BuildSettings) -> dict[str, str]:
    rows = Catalog(storage(settings)).objects().values()
    return {row.title: row.outcome if row.outcome != Outcome.DUPLICATE else "copy" for row in rows}


@pytest.mark.parametrize("kind", ["lost", "gone"])
def test_copy_replaces_an_unfetchable_original(kind: str, tmp_path: Path) -> None:
    titles = [f"{kind} {name}" for name in "abc"]
    settings = three_alike(tmp_path, *(title.replace(" ", "_") for title in titles))
    plan = build(settings, SILENT, dry_run=True).plan
    assert "render 2, reuse 0, 2 duplicates" in plan
    ends, left = dict[str, str](), set(titles)
    while left:
        GONE.update(titles)
        GONE.difference_update(left)
        shutil.rmtree(tmp_path / "dataset", ignore_errors=True)
        found = build(settings, told := Told(), make=Fetching)
        ends = outcomes(settings)
        (stands,) = {title for title in titles if ends[title] == "ok"}
        assert (found.rendered, found.outcomes["ok"]) == (2, 2)
        assert sum("is tried in its place" in line for line in told.lines) == len(GONE)
        assert {ends[title] for title in GONE} <= {"missing", "lost"}
        again = build(settings, SILENT, make=Fetching)
        assert (again.rendered, again.outcomes["ok"]) == (0, 2), "who could not be had is a copy of who stands"
        assert build(settings, SILENT, make=Fetching).idle
        left.remove(stands)


def test_nobody_stands_when_no_copy_can_be_had(tmp_path: Path) -> None:
    titles = [f"gone {name}" for name in "ab"]
    settings = three_alike(tmp_path, *(title.replace(" ", "_") for title in titles))
    GONE.update(titles)
    found = build(settings, SILENT, make=Fetching)
    assert found.outcomes == {"missing": 2, "ok": 1}
    GONE.clear()
    assert build(settings, SILENT, make=Fetching, retry=frozenset({"missing"})).outcomes == {"duplicate": 1, "ok": 2}


def test_who_stands_does_not_give_way_to_one_that_comes_back() -> None:
    first, second = sorted(("a", "b"), key=planned([item("a"), item("b")]).render.index)
    items = [item(uid, "same") for uid in (first, second)]
    _, rows, _ = rebuilt({}, items)
    assert rows[first].ok
    assert rows[second].outcome == "duplicate"
    _, rows, _ = rebuilt(rows, items[1:])
    assert rows[first].outcome == "removed"
    assert rows[second].ok
    plan, rows, jobs = rebuilt(rows, items)
    assert plan.render == ()
    assert jobs == []
    assert rows[second].ok
    assert rows[first].outcome == "duplicate"


def settled(ledger: Ledger, rows: dict[str, ObjectRow]) -> dict[str, ObjectRow]:
    for job in ledger.seal_numbers():
        ledger.record_packed(packed(job))
    return merged(rows, ledger, final=True)


def test_known_bytes_survive_failed_fetches() -> None:
    there, other = [item(uid, "") for uid in "ab"], [item(uid, "") for uid in "ab"]
    plan = planned(there)
    ledger = Ledger(plan)
    for uid in "ab":
        ledger.record_end(attempt(uid, f"bytes of {uid}"))
    rows = settled(ledger, {})
    assert {row.sha256 for row in rows.values()} == {"bytes of a", "bytes of b"}

    changed = replace(plan.rules, fingerprints=lambda sha256: f"other-{sha256}")
    plan = planned(other, rows, rules=changed)
    ledger = Ledger(plan)
    ledger.record_end(attempt("a", "bytes of a", rules=changed))
    ledger.record_end(replace(attempt("b", "", Outcome.MISSING, changed), fingerprint="", phase="fetch"))
    rows = settled(ledger, rows)
    assert rows["b"].outcome == "missing"
    assert rows["b"].sha256 == "bytes of b"
    assert rows["b"].fingerprint == "other-bytes of b"
    plan = planned(other, rows, rules=changed)
    assert plan.state[plan.requested.indices(["b"])[0]] == State.ENDED
    back = planned(there, rows)
    assert back.fingerprint("b") == "fp-bytes of b", "by which a former version is asked"
