"""The state of a build in memory: how each object ended, the shards written so far, and the resulting rows.

An *index* is the position of an object in `plan.requested`. A *number* is a shard number.
"""

from bisect import insort
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from itertools import chain, compress
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow

from base.outcomes import CHILD_DEATHS, Outcome
from pipeline.catalog.changes import Changes, complete_rows
from pipeline.catalog.columns import CHUNK, Columns, Indices, compact, table_of
from pipeline.catalog.objects import SourceObject, uid_order
from pipeline.catalog.rows import (
    FOUND,
    NO_LOCATION,
    RESULT_COLUMNS,
    UNASSIGNED,
    Attempt,
    BuildResult,
    location_of,
)
from pipeline.plan.catalog_join import Mask
from pipeline.plan.first_seen import FirstSeen
from pipeline.plan.plan import IN_SHARDS, RETRIED, TRANSIENT, Plan, State
from pipeline.work.pack import Member, PackJob, PackResult
from shards.version import SampleEntry, ShardEntry

PARTS = 64
"""Merge this many small tables into one. Each costs some kilobytes beside its rows."""
NEW, MOVED = tuple(name for name in RESULT_COLUMNS if name != "uid"), tuple(NO_LOCATION)
"""The columns kept of a new result, and of a result that differs from its row only by the sample's location."""
REST = attrgetter(*(name for name in RESULT_COLUMNS if name not in MOVED))


def failures(attempts: list[Attempt], child_deaths: int) -> dict[tuple[str, str], Attempt]:
    """Return the attempts with a final failure, by uid and fingerprint: the last attempt, unless a retry may help.

    The death of a child is final only the `child_deaths`-th time.
    """
    deaths = Counter((one.uid, one.fingerprint) for one in attempts if one.outcome in CHILD_DEATHS)
    # Attempts come oldest first, so the newest stays. Without a fingerprint the bytes were never read, and a fetch may
    # succeed today.
    last = {(one.uid, one.fingerprint): one for one in attempts if one.fingerprint}
    return {
        key: one
        for key, one in last.items()
        if one.outcome not in RETRIED | {Outcome.OK}
        and (one.outcome not in CHILD_DEATHS or deaths[key] >= child_deaths)
    }


class Ledger:
    """The progress of a build. It holds the end of an object while its shard number is open, then only its new row.

    - `tries` counts this build's attempts by uid, `tried` earlier attempts at objects with any failure.
    - `deaths` counts child deaths by uid under the present fingerprint.
    - `seconds` and `rendered` sum up the work.
    - `packed` are the numbers with new shards, listed in `written`. `unchanged` are closed numbers without changes.

    Values needed at every tick are counters: a scan of a million objects would be too slow there.
    """

    def __init__(self, plan: Plan, tried: Mapping[str, int] | None = None) -> None:
        self.plan, self.rules, self.tried = plan, plan.rules, tried or {}
        self.tries, self.deaths, self.seconds = Counter[str](), Counter[str](), Counter[str]()
        self.rendered, self.written = 0, list[str]()
        self._ends = {**plan.staged, **plan.failed}
        self._copies, self._replacements = dict[str, str](), dict[str, str]()
        self._first_seen, self._members = FirstSeen(plan), _Members(plan)
        self._in_shards = np.isin(plan.state, IN_SHARDS)
        self._open = Counter(plan.number[plan.order].tolist())
        self._numbers, self._sealed = sorted(plan.rewrite), 0
        self.packed, self.unchanged = set[int](), set[int]()
        self._samples = plan.count(State.KEPT)
        self._new, self._parts = list[pyarrow.Table](), list[pyarrow.Table]()
        self._announced, self._news = False, False

    def record_end(self, attempt: Attempt) -> SourceObject | None:
        """Record the final attempt at an object to be rendered.

        Returns a copy to render instead, when the object could not be fetched and has a copy elsewhere.
        """
        number = self._number(attempt.uid)
        self._ends[attempt.uid] = attempt
        self.rendered += attempt.outcome == Outcome.OK
        self.seconds.update(attempt.seconds)
        is_unfetched = attempt.outcome != Outcome.OK and attempt.phase == "fetch"
        replacement = self._choose_replacement(attempt.uid, number) if is_unfetched else None
        self._open[number] -= 1
        return replacement

    def _choose_replacement(self, uid: str, number: int) -> SourceObject | None:
        """Choose the first copy whose number is still open. The remaining copies become copies of it."""
        # A copy in a number that is closed already has its row, as a duplicate; it cannot be rendered any more.
        copies = self._copies_of.pop(uid, [])
        # The lowest rank, so that the choice does not depend on the order of completion.
        chosen = min((copy for copy in copies if self._number(copy) >= number), key=self._rank, default=None)
        if chosen is None:
            return None
        self._replacements[uid], self._copies_of[chosen] = chosen, [copy for copy in copies if copy != chosen]
        self._open[self._number(chosen)] += 1
        # The copy alone may be new in its shard number, and the number then had no reason to be rewritten.
        if self._number(chosen) not in self._numbers[self._sealed :]:
            # Only among open numbers: sealed ones stay where they are.
            insort(self._numbers, self._number(chosen), lo=self._sealed)
        return next(self.plan.requested.records(self.plan.requested.indices([chosen])))

    @cached_property
    def _copies_of(self) -> dict[str, list[str]]:
        """Copies by the uid of their original, as planned."""
        copies: dict[str, list[str]] = {}
        for uid, first in self.plan.duplicate.items():
            copies.setdefault(first, []).append(uid)
        return copies

    def _original(self, uid: str) -> str | None:
        """Return the original of a copy, as planned or replaced since; None for an object with its own attempt."""
        first = self.plan.duplicate.get(uid) if uid not in self._replacements else None
        # A replacement may fail in its turn, so replacements form chains.
        while first in self._replacements:
            first = self._replacements[first]
        return first if first != uid else None

    def _number(self, uid: str) -> int:
        return int(self.plan.number[self.plan.requested.indices([uid])[0]])

    def _rank(self, uid: str) -> tuple[int, tuple[str, str]]:
        return self._number(uid), uid_order(uid)

    def seal_numbers(self, limit: int | None = None) -> list[PackJob]:
        """Close the shard numbers whose objects have all ended, and return pack jobs for those with changes.

        At most `limit` closed numbers wait to be packed. Numbers close in order: of two objects with the same bytes
        the lower number decides about the copy.
        """
        jobs = list[PackJob]()
        while self._sealed < len(self._numbers) and (limit is None or self._sealed - self._closed < limit):
            # In order, even if later numbers are complete: of two objects with the same bytes the first is packed,
            # whichever render ends first. Thus shards do not depend on the order of completion.
            number = self._numbers[self._sealed]
            if self._open[number]:
                break
            self._sealed += 1
            members = tuple(self._packable(number))
            if number in self.plan.certain or any(member.kept_in is None for member in members):
                jobs.append(PackJob(number, members))
            else:
                # Every render of this number failed, and nothing else changes in it: its shards stay as they are.
                self.unchanged.add(number)
                self._close(number, {})
        return jobs

    def record_packed(self, packed: PackResult) -> None:
        """Record the new shards of a number. All its objects get their rows now."""
        self.packed.add(packed.number)
        self.written += [shard.name for shard in packed.shards]
        locations = {entry.uid: _location_columns(shard, entry) for shard in packed.shards for entry in shard.samples}
        # Kept samples of this number were counted at the start.
        self._samples += len(locations) - np.count_nonzero(
            self.plan.state[self._members.of(packed.number)] == State.KEPT
        )
        self._close(packed.number, locations)

    def _close(self, number: int, locations: Mapping[str, dict[str, Any]]) -> None:
        """Collect the new rows of a number's objects. `locations` are those of the samples packed just now."""
        indices = self._members.of(number)
        self._parts += self._new_rows(indices, locations)
        if len(self._parts) >= PARTS:
            # Two kinds of tables, whole rows and moved locations, and Arrow joins only tables with equal columns.
            for names in dict.fromkeys(tuple(part.column_names) for part in self._parts):
                alike = pyarrow.concat_tables(part for part in self._parts if tuple(part.column_names) == names)
                self._new.append(alike.unify_dictionaries().combine_chunks())
            self._parts.clear()
        for uid in self.plan.requested.uids[indices]:
            # The rows now say all of it. Attempts of a million objects would fill memory.
            self._ends.pop(uid.decode(), None)
            self.tries.pop(uid.decode(), None)

    @property
    def is_done(self) -> bool:
        """True when every object has ended and every shard is written."""
        # `+` drops counts of zero, which a Counter keeps.
        return not +self._open and self._closed == len(self._numbers)

    @property
    def _closed(self) -> int:
        return len(self.packed) + len(self.unchanged)

    @property
    def has_samples(self) -> bool:
        """True when a version made now would hold an object."""
        return self._samples > 0

    def collect_changes(self, *, final: bool) -> Changes:
        """Collect the rows that differ from the catalogue.

        Before the end, only objects of closed numbers have new rows, and new objects a `pending` row. There are no
        changes when attempts only ended as earlier ones did.
        """
        requested, rows, nothing = self.plan.requested, self.plan.rows, np.zeros(0, np.int64)
        found = [*self._new, *self._parts, *(self._new_rows(self._changed_without_shard(), {}) if final else ())]
        # A version for attempts that ended as before would be a version a build, with a growing table, for nothing new.
        if final and not (self._news or len(self.plan.removed)):
            found = []
        # A first version lists the objects still to come, so that `status` and readers of the table know of them.
        pending = nothing if final or self._announced else self._pending()
        indices = np.concatenate([pending, *(part["index"].to_numpy() for part in found)])
        return Changes(
            np.sort(requested.uids[indices]),
            lambda: chain(map(self._complete, found), self._pending_rows(pending)),
            rows.uids[self.plan.removed if final else nothing],
        )

    def mark_committed(self) -> None:
        """Drop the changes that the catalogue now has."""
        self._new.clear()
        self._parts.clear()
        self._announced, self._news = True, False

    def _packable(self, number: int) -> Iterator[Member]:
        known = list(self._known(self._members.of(number)))
        for index, item, _, current in sorted(known, key=lambda entry: uid_order(entry[1].uid)):
            if self._original(item.uid) is not None or not self._good(index, item.uid):
                continue
            sha256 = self._sha256(index, item.uid)
            # Objects whose bytes were unknown to the plan may turn out, once fetched, to be copies of each other.
            if (first := self._first_seen.of(sha256, index)) != index:
                self._copies[item.uid] = self.plan.requested.uids[first].decode()
                continue
            yield self._member(index, item, sha256, current)

    def _member(self, index: int, item: SourceObject, sha256: str, current: BuildResult | None) -> Member:
        facts, split = item.facts(sha256), self.rules.split(sha256)
        end = self._ends.get(item.uid)
        if end is not None or current is None:
            return Member(item.uid, split, facts, end.fingerprint if end is not None else "")
        shard, entry = location_of(current)
        former = bool(self.plan.state[index] == State.FORMER)
        return Member(item.uid, split, facts, current.fingerprint, shard, entry, former)

    def _known(self, indices: Indices) -> Iterator[tuple[int, SourceObject, BuildResult | None, BuildResult | None]]:
        """Yield the objects at some indices, each with its row at the start of the build and the row that locates its
        sample. The second is the same row, or comes from a former version."""
        # In step with the objects: an access by uid makes a table for a single row.
        before = _records(self.plan.rows, self.plan.row[indices])
        former = _records(self.plan.former, self.plan.former.indices(self.plan.requested.uids[indices]))
        items = self.plan.requested.records(indices)
        for index, item, row, elsewhere in zip(indices.tolist(), items, before, former, strict=True):
            yield index, item, row, elsewhere or row

    def _good(self, index: int, uid: str) -> bool:
        end = self._ends.get(uid)
        return bool(self._in_shards[index]) or (end is not None and end.outcome == Outcome.OK)

    def _sha256(self, index: int, uid: str) -> str:
        end = self._ends.get(uid)
        return (end.sha256 if end is not None else "") or str(self.plan.sha256[index].decode())

    def _new_rows(self, indices: Indices, locations: Mapping[str, dict[str, Any]]) -> Iterator[pyarrow.Table]:
        """Yield the new rows of ended objects; of objects whose sample only moved, just the location columns."""
        for start in range(0, len(indices), CHUNK):
            known = self._known(indices[start : start + CHUNK])
            found = [
                (index, self._result(index, item, before, current, locations), before)
                for index, item, before, current in known
            ]
            new = [entry for entry in found if entry[1] != entry[2] or self.plan.restated[entry[0]]]
            self._news |= any(self.plan.restated[index] or _is_news(now, before) for index, now, before in new)
            has_moved = [before is not None and REST(now) == REST(before) for _, now, before in new]
            # A rewritten shard moves all its samples. Six columns each, instead of whole rows, save most memory.
            for names, which in ((MOVED, has_moved), (NEW, [not moved for moved in has_moved])):
                of = list(compress(new, which))
                if of:
                    table = table_of(BuildResult, [now for _, now, _ in of]).select(names)
                    yield compact(table.append_column("index", [[index for index, _, _ in of]]))

    def _result(
        self,
        index: int,
        item: SourceObject,
        before: BuildResult | None,
        current: BuildResult | None,
        locations: Mapping[str, dict[str, Any]],
    ) -> BuildResult:
        uid, end = item.uid, self._ends.get(item.uid)
        if index in self.plan.rule:
            return _filtered_row(item, before, self.plan.rule[index])
        known: dict[str, Any] = {"shard": int(self.plan.number[index]), "sha256": self._sha256(index, uid)}
        known["attempts"] = self._attempts(uid, before or current)
        original = self._original(uid) or self._copies.get(uid)
        if original is not None:
            ended = {"outcome": Outcome.DUPLICATE.value, "reason": f"the same bytes as {original}"}
        elif self._good(index, uid) and (last := end or current) is not None:
            ended = {"outcome": Outcome.OK.value, "checks": last.checks, "fingerprint": last.fingerprint}
            known |= _faults(last)
            known["facts_digest"] = item.facts_digest(known["sha256"])
            # A number that was not packed keeps its shard, and the object its old location.
            known |= locations[uid] if known["shard"] in self.packed else _location_of_row(before)
        elif end is not None:
            ended = {"outcome": end.outcome, "reason": end.reason, "phase": end.phase, "checks": end.checks}
            known |= _faults(end)
            # An unfetched object with known bytes has a fingerprint too: today's.
            known["fingerprint"] = end.fingerprint or (known["sha256"] and self.rules.fingerprint(known["sha256"]))
        else:
            ended = _unchanged_fields(before)
        return BuildResult(uid=uid, **{**known, **ended})

    def _attempts(self, uid: str, before: BuildResult | None) -> int:
        earlier = before.attempts if before is not None else 0
        return self.tries[uid] + self.tried.get(uid, earlier + (uid in self.plan.staged))

    def _changed_without_shard(self) -> Indices:
        """Indices of objects whose rows may change although no shard is written."""
        plan = self.plan
        # Filtered objects belong to no shard, so their rows change whether or not a number is open.
        others = plan.restated | np.isin(plan.state, (State.ENDED, State.DUPLICATE, State.FILTERED))
        return np.flatnonzero(others & ((plan.state == State.FILTERED) | self._is_open))

    def _pending(self) -> Indices:
        """Indices of the new objects without a written shard."""
        plan = self.plan
        return np.flatnonzero((plan.row < 0) & (plan.state != State.FILTERED) & self._is_open)

    @property
    def _is_open(self) -> Mask:
        """A mask of the objects with an open number."""
        return ~np.isin(self.plan.number, [*self.packed, *self.unchanged])

    def _pending_rows(self, indices: Indices) -> Iterator[pyarrow.Table]:
        empty = BuildResult(uid="")
        same = {name: getattr(empty, name) for name in RESULT_COLUMNS if name not in ("uid", "sha256", "shard")}
        for start in range(0, len(indices), CHUNK):
            part = indices[start : start + CHUNK]
            yield complete_rows(self.plan.requested.rows(part).append_column("shard", [self.plan.number[part]]), same)

    def _complete(self, new: pyarrow.Table) -> pyarrow.Table:
        """Complete new columns to full rows, from the source and, where only the location is new, from the old row."""
        indices = new["index"].to_numpy()
        moved = new.column_names == [*MOVED, "index"]
        before = [self.plan.rows.rows(self.plan.row[indices])] if moved else []
        tables = (self.plan.requested.rows(indices), *before, new)
        return complete_rows(pyarrow.table({name: table[name] for table in tables for name in table.column_names}), {})


class _Members:
    """The indices of the objects of each shard number."""

    def __init__(self, plan: Plan) -> None:
        # Copies of a kept sample have no number, and no shard waits for them.
        indices = np.flatnonzero((plan.state != State.FILTERED) & (plan.number != UNASSIGNED))
        self._indices = indices[np.argsort(plan.number[indices], kind="stable")]
        self._numbers = plan.number[self._indices]

    def of(self, number: int) -> Indices:
        first, end = np.searchsorted(self._numbers, [number, number + 1])
        return self._indices[first:end]


def _is_news(now: BuildResult, before: BuildResult | None) -> bool:
    """Return False when an attempt only ended as the previous attempt did."""
    if before is None:
        return True
    # Their sentences differ from try to try, for example in seconds.
    reason = before.reason if now.outcome in TRANSIENT else now.reason
    return replace(now, attempts=before.attempts, reason=reason) != before


def _records(rows: Columns[BuildResult], indices: Indices) -> Iterator[BuildResult | None]:
    """Return the records at some indices, None where an index is −1."""
    there = rows.records(indices[indices >= 0])
    return (next(there) if index >= 0 else None for index in indices.tolist())


def _filtered_row(item: SourceObject, before: BuildResult | None, rule: str) -> BuildResult:
    known: dict[str, Any] = {"shard": before.shard, "attempts": before.attempts} if before is not None else {}
    sha256 = item.sha256 or (before.sha256 if before is not None else "")
    return BuildResult(uid=item.uid, **known, sha256=sha256, outcome=Outcome.FILTERED.value, reason=rule)


def _location_columns(shard: ShardEntry, entry: SampleEntry) -> dict[str, Any]:
    return {
        "split": shard.split,
        "shard_name": shard.name,
        "shard_sha256": shard.sha256,
        "shard_bytes": shard.bytes,
        "sample_offset": entry.offset,
        "sample_bytes": entry.bytes,
    }


def _location_of_row(before: BuildResult | None) -> dict[str, Any]:
    return {name: getattr(before, name) for name in NO_LOCATION}


def _unchanged_fields(before: BuildResult | None) -> dict[str, Any]:
    kept = ("outcome", "reason", "phase", "checks", "attempts", "sha256", "fingerprint", *FOUND)
    return {name: getattr(before, name) for name in kept}


def _faults(end: Attempt | BuildResult) -> dict[str, Any]:
    return {name: getattr(end, name) for name in FOUND}
