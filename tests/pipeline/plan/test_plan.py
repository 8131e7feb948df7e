"""The plan and the books, without rendering: properties over random histories of requests."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from base.outcomes import Outcome
from pipeline.catalog.changes import GONE
from pipeline.catalog.columns import Columns, table_of
from pipeline.catalog.objects import SourceObject, uid_of
from pipeline.catalog.rows import UNASSIGNED, Attempt, ObjectRow
from pipeline.ledger import Ledger, failures
from pipeline.plan.assign import assign, find_originals, split_of
from pipeline.plan.plan import Plan, Rules, State
from pipeline.plan.planner import make_plan
from pipeline.work.pack import PackJob, PackResult
from shards.version import UID, SampleEntry, ShardEntry

UIDS = st.lists(st.text("abcdefgh", min_size=1, max_size=3), unique=True, max_size=12)
RULES = Rules(3, 0.0, lambda sha256: f"fp-{sha256}")


@pytest.fixture(autouse=True, scope="module")
def _tables_become_one_soon() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.ledger.PARTS", 2)
        yield


def item(uid: str, sha256: str | None = None, **facts: str) -> SourceObject:
    known = f"bytes of {uid}" if sha256 is None else sha256
    return SourceObject(uid=uid, source="folder", location=f"/models/{uid}", sha256=known, **facts)


def attempt(uid: str, sha256: str, outcome: Outcome = Outcome.OK, rules: Rules = RULES) -> Attempt:
    return Attempt(attempt=uid, run="r", uid=uid, outcome=outcome, sha256=sha256, fingerprint=rules.fingerprint(sha256))


def packed(job: PackJob) -> PackResult:
    """What a packer would answer: one shard named after its members' bytes."""
    if not job.members:
        return PackResult(job.number, ())
    entries = tuple(SampleEntry(member.uid, index, 1) for index, member in enumerate(job.members))
    name = "+".join(f"{member.uid}={member.facts}{member.fingerprint}" for member in job.members)
    return PackResult(job.number, (ShardEntry(name, "train", job.number, len(entries), name, entries),))


def planned(
    items: list[SourceObject],
    rows: dict[str, ObjectRow] | None = None,
    staged: Sequence[Attempt] = (),
    failed: Mapping[tuple[str, str], Attempt] | None = None,
    rules: Rules = RULES,
) -> Plan:
    known = [table_of(ObjectRow, list(rows.values()))] if rows else []
    return make_plan(Columns.of(SourceObject, items), known, staged, failed or {}, rules)


def merged(rows: dict[str, ObjectRow], ledger: Ledger, *, final: bool) -> dict[str, ObjectRow]:
    """The rows as the catalogue has them after a commit."""
    changes = ledger.collect_changes(final=final)
    new = [row for table in changes.tables() for row in table.to_pylist()]
    assert sorted(row["uid"] for row in new) == [uid.decode() for uid in changes.uids]
    gone = {uid.decode(): replace(rows[uid.decode()], **GONE) for uid in changes.gone}
    return {**rows, **{row["uid"]: ObjectRow(**row) for row in new}, **gone}


def rebuilt(
    rows: dict[str, ObjectRow], items: list[SourceObject], bad: frozenset[str] = frozenset(), rules: Rules = RULES
) -> tuple[Plan, dict[str, ObjectRow], list[PackJob]]:
    """A whole build on paper: plan, every render ends, every shard is packed, the rows are merged."""
    plan = planned(items, rows, rules=rules)
    ledger = Ledger(plan)
    jobs = ledger.seal_numbers()
    for uid in plan.render:
        sha256 = next(one.sha256 for one in items if one.uid == uid)
        ledger.record_end(attempt(uid, sha256, Outcome.CORRUPT if uid in bad else Outcome.OK, rules))
        jobs += ledger.seal_numbers()
    for job in jobs:
        ledger.record_packed(packed(job))
    assert ledger.is_done
    books = merged(rows, ledger, final=True)
    assert ledger.has_samples == any(row.ok for row in books.values())
    return plan, books, jobs


def assigned(existing: dict[str, int], uids: list[str], per_shard: int) -> dict[str, int]:
    numbers = np.array([existing.get(uid, UNASSIGNED) for uid in uids], np.int64)
    found = assign(numbers, np.array(uids, np.bytes_), max(existing.values(), default=-1) + 1, per_shard)
    return dict(zip(uids, found.tolist(), strict=True))


@given(st.lists(UIDS, min_size=1, max_size=4), st.integers(1, 5))
def test_objects_keep_their_number_and_numbers_their_size(requests: list[list[str]], per_shard: int) -> None:
    existing: dict[str, int] = {}
    for uids in requests:
        before = dict(existing)
        existing |= assigned(existing, uids, per_shard)
        assert all(existing[uid] == number for uid, number in before.items())
    sizes = [list(existing.values()).count(number) for number in set(existing.values())]
    assert all(1 <= size <= per_shard for size in sizes)


@given(UIDS, st.randoms())
def test_assignment_does_not_depend_on_the_order_of_the_request(uids: list[str], random: object) -> None:
    shuffled = list(uids)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert assigned({}, uids, 3) == assigned({}, shuffled, 3)


@given(UIDS)
def test_a_rebuild_with_no_change_is_idle(uids: list[str]) -> None:
    items = [item(uid) for uid in uids]
    bad = frozenset(uids[::4])
    first, rows, _ = rebuilt({}, items, bad)
    assert set(first.render) == set(uids)
    plan, again, jobs = rebuilt(rows, items, bad)
    assert plan.idle
    assert again == rows
    assert jobs == []


@given(st.lists(UIDS, min_size=2, max_size=4))
def test_only_what_changed_is_rendered_and_rewritten(requests: list[list[str]]) -> None:
    rows: dict[str, ObjectRow] = {}
    for uids in requests:
        ok = {uid for uid, row in rows.items() if row.ok}
        plan, after, jobs = rebuilt(rows, [item(uid) for uid in uids])
        assert set(plan.render) == set(uids) - ok
        assert {plan.rows.uids[place].decode() for place in plan.removed} == {
            uid for uid in set(rows) - set(uids) if rows[uid].outcome != Outcome.REMOVED
        }
        assert {uid for uid, row in after.items() if row.ok} == set(uids)
        touched = {after[uid].shard for uid in set(plan.render) | (ok - set(uids))}
        assert {job.number for job in jobs} == touched
        for uid in ok & set(uids):
            same = after[uid].shard_name == rows[uid].shard_name
            assert same or after[uid].shard in touched
        rows = after


def test_changed_file_renders_alone() -> None:
    items = [item(uid) for uid in "abcdef"]
    _, rows, _ = rebuilt({}, items)
    changed = [item("a", "new bytes"), *items[1:]]
    plan, after, jobs = rebuilt(rows, changed)
    assert plan.render == ("a",)
    assert {job.number for job in jobs} == {rows["a"].shard}
    assert after["a"].sha256 == "new bytes"
    kept = {member.uid for job in jobs for member in job.members if member.kept_in is not None}
    assert kept == {uid for uid, row in rows.items() if row.shard == rows["a"].shard} - {"a"}


def test_corrected_facts_are_packed_without_rendering() -> None:
    items = [item(uid) for uid in "ab"]
    _, rows, _ = rebuilt({}, items)
    plan, after, jobs = rebuilt(rows, [item("a", licence="CC0-1.0"), items[1]])
    assert plan.render == ()
    assert [job.number for job in jobs] == [0]
    assert after["a"].licence == "CC0-1.0"


def test_a_later_copy_is_a_duplicate_until_the_first_is_removed() -> None:
    items = [item("a"), item("b", "bytes of a"), item("c")]
    plan, rows, _ = rebuilt({}, items)
    (copy,) = plan.duplicate
    original = plan.duplicate[copy]
    assert {copy, original} == {"a", "b"}
    assert rows[copy].outcome == Outcome.DUPLICATE
    assert rows[copy].reason == f"the same bytes as {original}"
    assert rebuilt(rows, items)[0].idle
    plan, rows, _ = rebuilt(rows, [one for one in items if one.uid != original])
    assert plan.render == (copy,)
    assert rows[copy].ok
    assert rows[original].outcome == Outcome.REMOVED


def test_late_copies_are_found_in_order() -> None:
    unknown = [replace(item(uid), sha256="", source="objaverse") for uid in "abcd"]
    plan = planned(unknown)
    books = []
    for order in (plan.render, plan.render[::-1]):
        ledger, jobs = Ledger(plan), []
        for uid in order:
            ledger.record_end(attempt(uid, "one and the same"))
            jobs += ledger.seal_numbers()
        for job in jobs:
            ledger.record_packed(packed(job))
        books.append(merged({}, ledger, final=True))
    assert books[0] == books[1]
    assert [row.outcome for row in books[0].values()].count(Outcome.OK) == 1
    again = planned(unknown, books[0])
    assert (again.render, again.rewrite) == ((), frozenset())


def test_other_splits_move_samples_without_rendering() -> None:
    items = [item(uid) for uid in "abcdef"]
    _, rows, _ = rebuilt({}, items)
    half = replace(RULES, val_fraction=0.999)
    plan = planned(items, rows, rules=half)
    assert plan.render == ()
    assert plan.rewrite


def test_an_early_version_speaks_of_finished_shards_only() -> None:
    items = [item(uid) for uid in "abcdef"]
    plan = planned(items)
    ledger = Ledger(plan)
    for uid in plan.render[:4]:
        ledger.record_end(attempt(uid, f"bytes of {uid}"))
    (job,) = ledger.seal_numbers()
    ledger.record_packed(packed(job))
    rows = merged({}, ledger, final=False)
    assert {uid for uid, row in rows.items() if row.ok} == set(plan.render[:3])
    assert {row.outcome for row in rows.values()} == {Outcome.OK, Outcome.PENDING}
    assert {uid: row.shard for uid, row in rows.items()} == dict(zip(plan.requested, plan.number.tolist(), strict=True))
    resumed = planned(items, rows, [attempt(plan.render[3], f"bytes of {plan.render[3]}")])
    assert resumed.render == plan.render[4:]
    assert set(resumed.staged) == {plan.render[3]}


@pytest.mark.parametrize(("deaths", "settled"), [(1, False), (2, True)])
def test_a_child_must_die_twice_to_settle_it(deaths: int, settled: bool) -> None:
    attempts = [attempt("a", "x", Outcome.CRASH)] * deaths
    assert (("a", RULES.fingerprint("x")) in failures(attempts, 2)) == settled
    plan = planned([item("a", "x")], failed=failures(attempts, 2))
    assert (plan.render == ()) == settled


def test_what_failed_before_a_crash_is_not_tried_again() -> None:
    failed = failures([attempt("a", "bytes of a", Outcome.IMPORT_ERROR)], 2)
    plan = planned([item("a"), item("b")], failed=failed)
    assert plan.render == ("b",)
    assert plan.uids(State.ENDED) == ("a",)
    assert planned([item("a", "other bytes")], failed=failed).render == ("a",)


def test_splits_take_their_share() -> None:
    splits = [split_of(f"{index}", 0.25) for index in range(4000)]
    assert splits.count("val") == pytest.approx(1000, abs=120)
    assert {split_of(f"{index}", 0.0) for index in range(100)} == {"train"}


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), st.sampled_from(["", "x", "y"]), max_size=8))
def test_every_copy_names_one_original(sha256: dict[str, str]) -> None:
    copies = find_originals(sha256, dict.fromkeys(sha256, 0), {})
    for uid, original in copies.items():
        assert original not in copies
        assert sha256[uid] == sha256[original] != ""
    assert len({digest for digest in sha256.values() if digest}) == len([u for u in sha256 if sha256[u]]) - len(copies)


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_name_makes_a_uid(name: str, identity: str) -> None:
    assert UID.fullmatch(uid_of(name, identity))


def test_changed_facts_rewrite_all_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [item(uid) for uid in "abcdef"]
    _, rows, _ = rebuilt({}, items)
    assert planned(items, rows).idle
    monkeypatch.setattr(SourceObject, "facts_digest", lambda self, sha256: f"other {self.uid}")
    assert planned(items, rows).rewrite == {0, 1}
