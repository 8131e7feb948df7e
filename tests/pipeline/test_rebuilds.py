"""Every kind of rebuild on paper, with the fingerprints of real settings: what is rendered, and which shards change."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from deltalake import write_deltalake

from base.storage import Storage
from pipeline.catalog.columns import table_of
from pipeline.catalog.objects import SourceObject
from pipeline.catalog.rows import Attempt, ObjectRow
from pipeline.catalog.tables import ATTEMPTS, Catalog
from pipeline.plan.forecast import Forecast, ViewCounts, forecast, measure_renders
from pipeline.plan.plan import Plan, Rules
from pipeline.work.render_stage import view_fingerprints
from render.settings import RenderSettings
from tests.pipeline.builds import tiny
from tests.pipeline.plan.test_plan import item, planned, rebuilt

ITEMS = [item(uid) for uid in "abcdefgh"]


@cache
def shipped() -> RenderSettings:
    return tiny(Path("unused"), Path("unused")).render


def rules(**changes: Any) -> Rules:
    settings = shipped().model_copy(update=changes)
    return Rules(3, 0.0, view_fingerprints("folder", settings, 0))


@dataclass(frozen=True)
class Rebuild:
    """The shards before and after, by number, and the plan between."""

    plan: Plan
    before: dict[int, str]
    after: dict[int, str]

    @property
    def changed(self) -> set[int]:
        """The numbers whose shard is another one, a new one, or gone."""
        return {number for number in {*self.before, *self.after} if self.before.get(number) != self.after.get(number)}


def shards(rows: dict[str, ObjectRow]) -> dict[int, str]:
    return {row.shard: row.shard_name for row in rows.values() if row.ok}


def numbers(rows: dict[str, ObjectRow], *uids: str) -> set[int]:
    return {rows[uid].shard for uid in uids}


def first() -> dict[str, ObjectRow]:
    """Three shards of eight objects."""
    _, rows, _ = rebuilt({}, ITEMS, rules=rules())
    assert set(shards(rows)) == {0, 1, 2}
    return rows


def again(rows: dict[str, ObjectRow], items: list[SourceObject], **changes: Any) -> Rebuild:
    plan, after, jobs = rebuilt(rows, items, rules=rules(**changes))
    found = Rebuild(plan, shards(rows), shards(after))
    assert {job.number for job in jobs} == plan.rewrite, "what the plan lists is what is written"
    assert rebuilt(after, items, rules=rules(**changes))[0].idle, "once more is nothing"
    return found


def test_new_objects_write_only_new_shards() -> None:
    rows = first()
    found = again(rows, [*ITEMS, item("x"), item("y")])
    assert set(found.plan.render) == {"x", "y"}
    assert found.changed == found.plan.rewrite == {3}
    assert found.after.items() >= found.before.items()


def test_a_lost_shard_is_rendered_again_alone_and_is_the_same() -> None:
    rows = first()
    lost = shards(rows)[1]
    plan, after, jobs = rebuilt(rows, ITEMS, rules=replace(rules(), lost=frozenset({lost})))
    assert set(plan.render) == {uid for uid, row in rows.items() if row.shard == 1}
    assert plan.rewrite == {job.number for job in jobs} == {1}
    assert shards(after) == shards(rows)


def test_a_lost_shard_loses_the_object_that_fails_this_time() -> None:
    rows = first()
    ended = min(uid for uid, row in rows.items() if row.shard == 1)
    _, after, _ = rebuilt(rows, ITEMS, frozenset({ended}), replace(rules(), lost=frozenset({shards(rows)[1]})))
    assert after[ended].outcome == "corrupt"
    assert {uid: row.ok for uid, row in after.items()} == {uid: uid != ended for uid in rows}


def test_a_changed_source_rewrites_its_shard_alone() -> None:
    rows = first()
    found = again(rows, [replace(one, sha256="new") if one.uid == "c" else one for one in ITEMS])
    assert found.plan.render == ("c",)
    assert found.plan.rewrite == found.changed == numbers(rows, "c")


def test_removed_objects_rewrite_their_shards() -> None:
    rows = first()
    found = again(rows, [one for one in ITEMS if one.uid not in ("a", "b")])
    assert found.plan.render == ()
    assert found.plan.rewrite == found.changed == numbers(rows, "a", "b")
    last = {uid for uid, row in rows.items() if row.shard == 2}
    found = again(rows, [one for one in ITEMS if one.uid not in last])
    assert (found.plan.render, found.changed) == ((), {2})
    assert 2 not in found.after


@pytest.mark.parametrize(
    "changes", [{"samples": 64}, {"hw": (64, 64)}, {"views": 24}, {"passes": ("depth",)}, {"compat": "5.0"}], ids=str
)
def test_view_settings_and_blender_change_every_shard(changes: dict[str, Any]) -> None:
    found = again(first(), ITEMS, **changes)
    assert set(found.plan.render) == set("abcdefgh")
    assert found.plan.rewrite == {0, 1, 2}


@pytest.mark.parametrize("changes", [{"device": "CUDA"}, {"child": None}], ids=str)
def test_what_no_picture_shows_changes_nothing(changes: dict[str, Any]) -> None:
    if changes.get("child", 0) is None:
        changes = {"child": shipped().child.model_copy(update={"memory_mb": 1})}
    assert rebuilt(first(), ITEMS, rules=rules(**changes))[0].idle


def told(
    rows: dict[str, ObjectRow],
    items: list[SourceObject],
    made: list[Attempt],
    root: Path,
    extended: int = 0,
    **changes: Any,
) -> Forecast:
    catalog, chosen = Catalog(Storage(root)), rules(**changes)
    catalog.record(made)
    views = ViewCounts(changes.get("views", shipped().views), shipped().views, extended)
    found = measure_renders(catalog, chosen, changes.get("device", "CPU"), views)
    return forecast(planned(items, rows, rules=chosen), found, views)


def render(uid: str, seconds: float, **changes: Any) -> Attempt:
    known = {"sha256": f"bytes of {uid}", "fingerprint": rules().fingerprint(f"bytes of {uid}"), "outcome": "ok"}
    timed = {"device": "kind CPU, name Abacus", "seconds": {"import": 1.0, "sample": seconds - 1.0}}
    return Attempt(**{"attempt": uid, "run": "r", "uid": uid, "at": 5.0, **known, **timed, **changes})


def test_forecast_hours(tmp_path: Path) -> None:
    made = [
        render("a", 10.0),
        render("b", 20.0),
        render("c", 900.0, fingerprint="others", at=9.0),
        render("d", 9.0, outcome="crash"),
    ]
    found = told(first(), [*ITEMS, item("x"), item("y")], made, tmp_path)
    assert found.worker_s == pytest.approx(2 * 15.0)
    assert found.seconds_from == "15 s a render, the mean of the newest 2 with these settings, on CPU, Abacus"
    assert (found.rewritten, found.added) == ((), 1)


def test_forecast_names_other_settings(tmp_path: Path) -> None:
    found = told(first(), ITEMS, [render("a", 10.0)], tmp_path, samples=64)
    assert found.worker_s == pytest.approx(80.0)
    assert "with other settings or on another kind of device" in found.seconds_from
    assert len(found.rewritten) == 3
    elsewhere = told(first(), [*ITEMS, item("x")], [], tmp_path, device="OPTIX")
    assert "with other settings or on another kind of device" in elsewhere.seconds_from


def test_more_views_cost_only_the_missing_views(tmp_path: Path) -> None:
    rows = {uid: replace(row, sample_bytes=1000) for uid, row in first().items()}
    made = [render("a", 10.0), render("x", 30.0, fingerprint=rules(views=4).fingerprint("bytes of x"), device="GPU")]
    found = told(rows, [*ITEMS, item("x")], made[:1], tmp_path / "2", extended=8, views=4)
    assert found.bytes == 9 * 2000
    assert found.bytes_from.endswith("made with other settings, scaled from 2 views to 4")
    assert found.worker_s == pytest.approx(8 * 10.0 + 20.0)
    assert found.seconds_from.startswith("20 s a render")
    assert "another kind of device, scaled from 2 views to 4, on CPU" in found.seconds_from
    assert told(rows, ITEMS, made, tmp_path / "3", views=4).worker_s == pytest.approx(8 * 25.0)
    fewer = told(rows, ITEMS, made[:1], tmp_path / "4", views=1)
    assert (fewer.bytes, fewer.worker_s) == (8 * 500, pytest.approx(8 * 5.0))


def test_seconds_count_for_the_views_that_a_render_made(tmp_path: Path) -> None:
    made = [render("a", 10.0, views=2), render("b", 7.0, views=1)]
    found = told(first(), [*ITEMS, item("x")], made, tmp_path / "extended")
    assert found.worker_s == pytest.approx((10.0 + 14.0) / 2)
    how = "with these settings, scaled from 1–2 views to 2, on CPU, Abacus"
    assert found.seconds_from == f"12 s a render, the mean of the newest 2 {how}"
    made = [render("a", 10.0), render("b", 12.0, views=1, fingerprint="of another age")]
    found = told(first(), ITEMS, made, tmp_path / "ages", views=3)
    assert found.worker_s == pytest.approx(8 * (15.0 + 36.0) / 2)
    assert "another kind of device, scaled from 1–2 views to 3, on CPU" in found.seconds_from
    found = told(first(), [*ITEMS, item("x")], [render("a", 7.0, views=1)], tmp_path / "one")
    assert "scaled from 1 view to 2" in found.seconds_from


def test_old_attempts_count_as_whole_renders(tmp_path: Path) -> None:
    old = table_of(Attempt, [render("a", 10.0)]).drop_columns(["views"])
    write_deltalake(str(tmp_path / ATTEMPTS), old)
    found = told(first(), [*ITEMS, item("x")], [], tmp_path)
    assert found.worker_s == pytest.approx(10.0)
    found = told(first(), [*ITEMS, item("x")], [render("b", 7.0, views=1)], tmp_path)
    assert found.worker_s == pytest.approx((10.0 + 14.0) / 2)


def test_a_number_whose_objects_all_failed_is_not_new(tmp_path: Path) -> None:
    _, rows, _ = rebuilt({}, ITEMS, frozenset(one.uid for one in ITEMS), rules())
    items = [replace(one, sha256=f"mended {one.uid}") for one in ITEMS]
    found = told(rows, [*items, item("x")], [], tmp_path)
    assert (found.rewritten, found.added) == ((), 1)


def test_what_was_never_measured_is_unknown(tmp_path: Path) -> None:
    found = told({}, ITEMS, [], tmp_path)
    assert (found.bytes, found.worker_s) == (None, None)
    lines = found.lines(planned(ITEMS, rules=rules()))
    assert lines[0] == "8 objects: render 8, reuse 0; rewrite 3 shard numbers"
    assert lines[-2:] == [
        "bytes to write: unknown (no sample of this dataset was measured yet)",
        "machine hours, a worker a machine: unknown (no work on this dataset was measured yet)",
    ]


def test_forecast_bytes(tmp_path: Path) -> None:
    rows = {uid: replace(row, sample_bytes=1000) for uid, row in first().items()}
    changed = [replace(one, sha256="new") if one.uid == "c" else one for one in ITEMS]
    found = told(rows, changed, [], tmp_path)
    neighbours = sum(row.shard == rows["c"].shard for row in rows.values())
    assert found.bytes == neighbours * 1000
    assert found.rewritten == (rows["c"].shard_name,)
    gone = told(rows, [one for one in ITEMS if one.uid != "c"], [], tmp_path)
    assert (gone.bytes, gone.worker_s) == ((neighbours - 1) * 1000, 0.0)
