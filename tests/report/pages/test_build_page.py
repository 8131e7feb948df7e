import re
from dataclasses import replace

import pytest

from report.pages.build_facts import (
    BuildFacts,
    FailedObject,
    FailureGroup,
    MachineFacts,
    Pace,
    PhaseFacts,
    SampleViews,
    SlowObject,
)
from report.pages.build_page import build_page
from tests.report.facts import HOSTILE, plain
from tests.report.reading import Reading

FACTS = BuildFacts(
    dataset=HOSTILE,
    run=HOSTILE,
    version=7,
    began=1_000_000.0,
    ended=1_007_200.0,
    worker_s=14_000.0,
    attempts=2100,
    outcomes={"ok": 1990, "crash": 10},
    pace=tuple(Pace(1_000_000.0 + 720.0 * part, 199, 11) for part in range(10)),
    pace_s=720.0,
    phases=(PhaseFacts(HOSTILE, 12_000.0, 6.0, 60.5), PhaseFacts("import", 2000.0, 1.0, 9.0)),
    slowest=(SlowObject("van_1", HOSTILE, "ok", 61.5, "sample", 60.5),),
    failures=(FailureGroup("crash", "import", 110, (FailedObject("dog_1", "", HOSTILE, f"Fatal: {HOSTILE}"),)),),
    machines=(MachineFacts(HOSTILE, HOSTILE, 2100, 14_000.0, 512.25),),
    machine_count=1,
    pictured=(SampleViews("van_1", HOSTILE, (plain(1), plain(2))),),
    plan=("2000 objects: render 2000", HOSTILE),
    settings=f"render: {HOSTILE}",
    settings_digest="0123456789abcdef",
    missing=("not shown: train-000000: damaged",),
)


@pytest.fixture(scope="module")
def page() -> str:
    return build_page(FACTS)


def test_it_tells_how_the_run_went(page: str) -> None:
    text = Reading(page).text.replace("\N{NARROW NO-BREAK SPACE}", " ")
    for told in (
        "1 990 of 2 000 objects ended well in 2 h 00 min, on one machine.",
        "10 did not (0.5 %), most often with crash. The newest version is 7.",
        "objects a minute16.7",
        "100 were second tries",
        "crash in import 110 attempts, 1 of them here",
        "dog_1",
        "1 min 02 s",
        "512 MiB",
        "not shown: train-000000: damaged",
        "2000 objects: render 2000",
        "1970-01-12 13:46:40 UTC",
    ):
        assert told in text
    assert "hours since the first attempt" in text


def test_page_escapes_foreign_text(page: str) -> None:
    reading = Reading(page)
    assert not reading.open
    assert "<script" not in page
    assert "<img src=https" not in page
    assert "\x1b" not in page
    assert all(re.match(r"data:image/|#", target) for target in reading.targets)
    assert "Fatal: <script>alert('x')</script>" in reading.text
    assert any("script-src 'none'" in meta.get("content", "") for meta in reading.all("meta"))


def test_a_run_that_only_packed_has_a_report() -> None:
    empty = BuildFacts(dataset="chairs", run="r", version=3, plan=("9 objects: render 0, reuse 9",))
    text = Reading(build_page(empty)).text
    assert "This run rendered nothing" in text
    assert "9 objects: render 0, reuse 9" in text
    assert "Throughput" not in text


def test_one_without_failures_or_a_kept_plan_says_so() -> None:
    calm = replace(FACTS, outcomes={"ok": 2100}, failures=(), plan=(), settings="", version=0)
    text = Reading(build_page(calm)).text
    assert "No object failed. There is no version yet." in text
    assert "Failures None." in text
    assert "this page is made from the catalogue’s attempts alone" in text
