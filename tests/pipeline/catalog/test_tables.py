"""The catalogue on disk: merged rows, and the versions that follow from them, against the slow way."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import deltalake
import pytest

from base.errors import Failure
from base.storage import Storage
from pipeline.catalog.changes import GONE
from pipeline.catalog.columns import table_of
from pipeline.catalog.rows import Attempt, ObjectRow
from pipeline.catalog.tables import ATTEMPTS, LOG_STAYS, OBJECTS, Catalog, VersionFacts
from shards.version import SampleEntry, read_version
from tests.pipeline.builds import changes

ROOT = Path(__file__).parents[3]
FACTS = VersionFacts("0" * 16, 2, (32, 32))


def row(number: int, shard: int, **known: object) -> ObjectRow:
    name = f"shards/train-{shard:06d}-{shard:012x}.tar"
    placed = {"shard_name": name, "shard_sha256": f"{shard:064x}", "shard_bytes": 999, "split": "train", "shard": shard}
    about = {"outcome": "ok", "sample_offset": 10 * (30 - number), "sample_bytes": 10, "title": f"title {number}"}
    return ObjectRow(**{"uid": f"u{number}", "source": "urls", "location": "x", **placed, **about, **known})  # type: ignore[arg-type]


def listed(rows: list[ObjectRow]) -> dict[str, list[SampleEntry]]:
    """The samples of each shard, one by one."""
    placed = sorted((one for one in rows if one.ok), key=lambda one: (one.shard_name, one.sample_offset))
    groups = groupby(placed, key=lambda one: one.shard_name)
    return {name: [SampleEntry(one.uid, one.sample_offset, one.sample_bytes) for one in of] for name, of in groups}


def test_versions_follow_from_merged_rows(tmp_path: Path) -> None:
    catalog = Catalog(Storage(tmp_path))
    rows = [row(number, number % 3) for number in range(9)] + [row(9, 1, outcome="crash")]
    for changed in ([], [replace(rows[4], outcome="removed")], [row(20, 7)]):
        rows = [*{one.uid: one for one in (*rows, *changed)}.values()]
        catalog.commit(changes(*(changed or rows)), FACTS)
        version = catalog.newest()
        assert {shard.name: list(shard.samples) for shard in version.shards} == listed(rows)
        assert read_version(Storage(tmp_path)) == version
        assert dict(catalog.objects()) == {one.uid: one for one in sorted(rows, key=lambda one: one.uid)}
    assert catalog.counts("outcome") == {"ok": 9, "crash": 1, "removed": 1}
    assert dict(catalog.objects(1))["u4"].ok, "an earlier version stays as it was"


ON_ONE_PROCESSOR = """
import os, sys
os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])
from base.storage import Storage
from pipeline.catalog.tables import Catalog
from tests.pipeline.builds import changes
from tests.pipeline.catalog.test_tables import FACTS, row
catalog = Catalog(Storage(sys.argv[1]))
for title in ("one", "two"):
    catalog.commit(changes(row(1, 0, title=title), row(2, 0)), FACTS)
print(catalog.newest().number, catalog.objects()["u1"].title)
"""


def test_a_single_processor_is_enough_for_a_second_version(tmp_path: Path) -> None:
    """The engine reads the rows that it writes, and would wait for itself in a pool of one thread."""
    without = {name: value for name, value in os.environ.items() if name != "TOKIO_WORKER_THREADS"}
    line = [sys.executable, "-c", ON_ONE_PROCESSOR, str(tmp_path)]
    done = subprocess.run(line, cwd=ROOT, env=without, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout == "2 two\n", done.stderr


def test_who_is_gone_keeps_what_its_source_said(tmp_path: Path) -> None:
    catalog = Catalog(Storage(tmp_path))
    catalog.commit(changes(row(1, 0, title="one"), row(2, 0), row(3, 0)), FACTS)
    catalog.commit(changes(row(2, 0, title="two"), gone=["u1"]), FACTS)
    assert catalog.newest().samples("train") == 2
    assert dict(catalog.objects()) == {
        "u1": replace(row(1, 0, title="one"), **GONE), "u2": row(2, 0, title="two"), "u3": row(3, 0),
    }  # fmt: skip


def test_two_shards_of_one_number_stay_two(tmp_path: Path) -> None:
    """As when an early version has a number written anew, while an object that leaves it stands in the old shard."""
    rows = [row(1, 0), row(2, 0), row(3, 0, shard_name=f"shards/train-000000-{'f' * 12}.tar", shard_sha256="f" * 64)]
    catalog = Catalog(Storage(tmp_path))
    catalog.commit(changes(*rows), FACTS)
    version = catalog.newest()
    assert {shard.name: list(shard.samples) for shard in version.shards} == listed(rows)
    assert read_version(Storage(tmp_path)) == version


def test_a_version_of_nothing_has_no_shards(tmp_path: Path) -> None:
    catalog = Catalog(Storage(tmp_path))
    catalog.commit(changes(row(1, 0, outcome="crash")), FACTS)
    assert catalog.newest().shards == ()


def test_only_what_once_ended_badly_is_told_to_a_plan(tmp_path: Path) -> None:
    catalog = Catalog(Storage(tmp_path))
    assert (catalog.troubled_attempts(), catalog.recorded_attempts(["a"])) == ([], set())
    ends = [("a", "x", "ok"), ("b", "y", "crash"), ("c", "y", "ok")]
    catalog.record([Attempt(attempt=name, run="r", uid=uid, outcome=end) for name, uid, end in ends])
    assert [one.attempt for one in catalog.troubled_attempts()] == ["b", "c"]
    assert catalog.recorded_attempts(["a", "b", "it's not"]) == {"a", "b"}


def test_compact_merges_attempt_files(tmp_path: Path) -> None:
    catalog = Catalog(Storage(tmp_path))
    for number in range(5):
        catalog.record([Attempt(attempt=f"a{number}", run="r", uid="u", outcome="ok", seconds={"sample": 1.0})])
    before = catalog.attempts()
    files = set((tmp_path / "catalog/attempts").glob("*.parquet"))
    catalog.compact()
    assert catalog.attempts() == before
    assert catalog.unneeded_files([], older_than_s=3600.0) == [], "someone may be reading them"
    assert {tmp_path / name for name in catalog.unneeded_files([], older_than_s=0.0)} == files


def test_a_table_that_lacks_a_column_is_read_and_gets_it(tmp_path: Path) -> None:
    catalog = Catalog(Storage(tmp_path))
    old = Attempt(attempt="a", run="r", uid="u", outcome="crash", seconds={"sample": 1.0})
    new = replace(old, attempt="b", views=3)
    assert catalog.columns(ATTEMPTS) == frozenset()
    deltalake.write_deltalake(str(tmp_path / ATTEMPTS), table_of(Attempt, [old]).drop_columns(["views"]))
    assert catalog.attempts() == [old]
    assert "views" not in catalog.columns(ATTEMPTS)
    catalog.record([new])
    assert catalog.attempts() == [old, new]
    assert [one.attempt for one in catalog.troubled_attempts()] == ["a", "b"]
    assert "views" in catalog.columns(ATTEMPTS)
    catalog.compact()
    assert catalog.attempts() == [old, new]


@pytest.mark.parametrize("made", [True, False])
def test_commit_with_lost_answer_is_recognised(made: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = Catalog(Storage(tmp_path))
    catalog.commit(changes(row(1, 0)), FACTS)
    write = deltalake.write_deltalake

    def interrupted(*given: Any, **named: Any) -> None:
        if made:
            write(*given, **named)
        raise deltalake.exceptions.CommitFailedError("\x1b[31mconnection\x1b[0m closed")

    monkeypatch.setattr("deltalake.write_deltalake", interrupted)
    another = changes(row(1, 0, title="another"))
    if made:
        catalog.commit(another, FACTS)
        assert catalog.newest().number == 2
        assert catalog.objects()["u1"].title == "another"
    else:
        with pytest.raises(Failure, match="catalogue could not be used: connection closed"):
            catalog.commit(another, FACTS)


def test_old_versions_stay_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every few commits the engine removes those that are older than a month, unless the table says otherwise."""
    monkeypatch.setitem(LOG_STAYS, "delta.checkpointInterval", "4")
    catalog = Catalog(Storage(tmp_path))
    for number in range(1, 14):
        catalog.commit(changes(row(number, number)), FACTS)
        if number == 9:
            for path in (tmp_path / OBJECTS / "_delta_log").iterdir():
                os.utime(path, (time.time() - 40 * 86_400,) * 2)
    assert set(catalog.committed_at()) == set(range(14))
    assert len(catalog.objects(2)) == 2
