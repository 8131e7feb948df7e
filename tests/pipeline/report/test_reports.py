"""The report of a run from the catalogue's attempts alone: what it counts, and that it stays small."""

from pathlib import Path

import pytest

from base.errors import Failure, UsageError
from base.storage import Storage
from pipeline.catalog.rows import Attempt
from pipeline.catalog.tables import Catalog
from pipeline.report.reports import FOLDER, NEWEST, keep_plan, list_runs, report_page, write_report
from pipeline.report.run_facts import run_facts
from report.wording import BUILDING
from tests.report.reading import Reading

BEGAN = 1_700_000_000.0


def attempt(number: int, run: str = "run-1", outcome: str = "ok", **known: object) -> Attempt:
    values = {"attempt": f"{run}-{number:06d}", "uid": f"u{number}", "at": BEGAN + number}
    values["seconds"] = {"import": 1.0, "sample": 3.0 + number % 7}
    return Attempt(run=run, outcome=outcome, **{**values, **known})  # type: ignore[arg-type]


def recorded(root: Path, *attempts: Attempt) -> Storage:
    Catalog(Storage(root)).record(attempts)
    return Storage(root)


def test_attempts_are_counted(tmp_path: Path) -> None:
    crashed = [
        attempt(50, outcome="crash", phase="import", reason="died", stderr_tail="boom", host="a"),
        attempt(50, outcome="ok", at=BEGAN + 60, attempt="run-1-again", host="b"),
    ]
    others = [attempt(7, "run-0"), attempt(7, "it's", outcome="lost")]
    store = recorded(tmp_path, *(attempt(number, host="a") for number in range(40)), *crashed, *others)
    facts = run_facts(store, "run-1")
    assert facts.attempts == 42
    assert facts.outcomes == {"ok": 41}
    assert facts.machine_count == 2
    assert (facts.began, facts.ended) == (BEGAN, BEGAN + 60 + 5.0)
    assert sum(one.ok for one in facts.pace) == 41
    assert sum(one.failed for one in facts.pace) == 1
    assert facts.worker_s == pytest.approx(sum(4.0 + one % 7 for one in [*range(40), 50, 50]))
    assert [phase.name for phase in facts.phases] == ["sample", "import"]
    assert (facts.phases[1].total_s, facts.phases[1].mean_s) == (42.0, 1.0)
    assert {one.seconds for one in facts.slowest[:5]} == {10.0}
    assert (facts.slowest[0].phase, facts.slowest[0].phase_s) == ("sample", 9.0)
    (group,) = facts.failures
    assert group.outcome == "crash"
    assert group.phase == "import"
    assert group.count == 1
    assert group.examples[0].stderr_tail == "boom"
    assert [(one.host, one.attempts) for one in facts.machines] == [("a", 41), ("b", 1)]
    assert run_facts(store, "it's").outcomes == {"lost": 1}
    assert run_facts(store, "' or '1'='1").attempts == 0


def test_it_does_not_grow_with_the_objects(tmp_path: Path) -> None:
    long = {"reason": "r" * 5000, "stderr_tail": "e" * 50_000}
    many = [attempt(n, outcome="crash", phase=f"phase {n % 40}", host=f"h{n}", **long) for n in range(300)]
    page = report_page(recorded(tmp_path, *many))
    assert len(page) < 200_000


def test_the_newest_run_is_shown_unless_another_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="expected a dataset with a build run, found no run"):
        report_page(Storage(tmp_path))
    store = recorded(tmp_path, attempt(1, "20250101T000000Z-a"), attempt(2, "20250102T000000Z-b", outcome="crash"))
    keep_plan(store, "20250103T000000Z-c", ["9 objects: render 0"], {"render": {"samples": 16}}, BUILDING)
    assert [run[-1] for run in list_runs(store)] == ["a", "b", "c"]
    assert "This run rendered nothing" in Reading(report_page(store)).text
    assert "samples: 16" in Reading(report_page(store)).text
    assert "1 of 1 objects ended well" in Reading(report_page(store, "20250101T000000Z-a")).text
    with pytest.raises(UsageError, match=r"expected a run among .*-c, got 'x'"):
        report_page(store, "x")
    write_report(store, "20250102T000000Z-b")
    assert store.read(NEWEST) == store.read(f"{FOLDER}/20250102T000000Z-b.html")


def test_a_plan_that_is_none_is_named(tmp_path: Path) -> None:
    store = recorded(tmp_path, attempt(1))
    for text in (b"{", b"[]", b'{"plan": 3, "settings": {}}'):
        store.write(f"{FOLDER}/run-1.json", text)
        with pytest.raises(Failure, match=r"reports/run-1\.json: expected the plan of a run"):
            report_page(store)
