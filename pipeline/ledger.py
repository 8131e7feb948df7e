"""The books of one build: how each object ended so far, which shards were written, and the rows that follow."""

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
from pipeline.catalog.changes import Changes, whole
from pipeline.catalog.columns import CHUNK, Columns, Places, compact, table_of
from pipeline.catalog.objects import SourceObject, uid_order
from pipeline.catalog.rows import FOUND, NOWHERE, UNASSIGNED, Attempt, Finding, location_of
from pipeline.plan.catalog_join import Mask
from pipeline.plan.first_seen import Firsts
from pipeline.plan.plan import AGAIN, IN_SHARDS, TRANSIENT, Plan, State
from pipeline.work.pack import Member, Packed, PackJob
from shards.version import SampleEntry, ShardEntry

PARTS = 64
"""So many small tables become one: each costs some kilobytes beside its rows."""
NEW, MOVED = tuple(name for name in FOUND if name != "uid"), tuple(NOWHERE)
"""What is kept of a new finding, and of one that differs from the row by the place of its object alone."""
REST = attrgetter(*(name for name in FOUND if name not in MOVED))


def failures(attempts: list[Attempt], child_deaths: int) -> dict[tuple[str, str], Attempt]:
    """The attempts that settle an object's fate for their fingerprint: the last one, when it ended badly for good.

    A child's death settles it only when it is the `child_deaths`-th.
    """
    deaths = Counter((one.uid, one.fingerprint) for one in attempts if one.outcome in CHILD_DEATHS)
    last = {(one.uid, one.fingerprint): one for one in attempts if one.fingerprint}
    return {
        key: one
        for key, one in last.items()
        if one.outcome not in AGAIN | {Outcome.OK} and (one.outcome not in CHILD_DEATHS or deaths[key] >= child_deaths)
    }


class Ledger:
    """What is known so far. How an object ended is held as long as its shard is open, then what is new in its row.

    `tries` counts the attempts of this build at each object, `tried` those of earlier ones at objects that ever ended
    badly, `deaths` how often its child died under today's fingerprint; `seconds` and `rendered` add up what was done.
    `packed` are the numbers whose shards are `written`, `left` those of which nothing came that would change them.
    What is asked for at every tick is counted as it changes: a million objects cannot be looked through there.
    """

    def __init__(self, plan: Plan, tried: Mapping[str, int] | None = None) -> None:
        self.plan, self.rules, self.tried = plan, plan.rules, tried or {}
        self.tries, self.deaths, self.seconds = Counter[str](), Counter[str](), Counter[str]()
        self.rendered, self.written = 0, list[str]()
        self._ends = {**plan.staged, **plan.failed}
        self._copies, self._heirs = dict[str, str](), dict[str, str]()
        self._firsts, self._members = Firsts(plan), _Members(plan)
        self._in_shards = np.isin(plan.state, IN_SHARDS)
        self._open = Counter(plan.number[plan.order].tolist())
        self._numbers, self._sealed = sorted(plan.rewrite), 0
        self.packed, self.left = set[int](), set[int]()
        self._samples = plan.count(State.KEPT)
        self._new, self._parts = list[pyarrow.Table](), list[pyarrow.Table]()
        self._announced, self._news = False, False

    def end(self, attempt: Attempt) -> SourceObject | None:
        """Note how an object that was to be rendered has ended for good.

        Returns the copy of it that is to be rendered in its place, if its bytes could not be had and there is one.
        """
        number = self._number(attempt.uid)
        self._ends[attempt.uid] = attempt
        self.rendered += attempt.outcome == Outcome.OK
        self.seconds.update(attempt.seconds)
        heir = self._heir(attempt.uid, number) if attempt.outcome != Outcome.OK and attempt.phase == "fetch" else None
        self._open[number] -= 1
        return heir

    def _heir(self, uid: str, number: int) -> SourceObject | None:
        """The first copy of an object in its number or a later one, which are open still; all others become its."""
        copies = self._copies_of.pop(uid, [])
        heir = min((one for one in copies if self._number(one) >= number), key=self._turn, default=None)
        if heir is None:
            return None
        self._heirs[uid], self._copies_of[heir] = heir, [one for one in copies if one != heir]
        self._open[self._number(heir)] += 1
        if self._number(heir) not in self._numbers[self._sealed :]:
            insort(self._numbers, self._number(heir), lo=self._sealed)
        return next(self.plan.asked.records(self.plan.asked.places([heir])))

    @cached_property
    def _copies_of(self) -> dict[str, list[str]]:
        """The objects that the plan takes for copies of another, by that other."""
        copies: dict[str, list[str]] = {}
        for uid, first in self.plan.duplicate.items():
            copies.setdefault(first, []).append(uid)
        return copies

    def _original(self, uid: str) -> str | None:
        """Whose copy an object was said to be, by the plan or since; None of one that was or is tried itself."""
        first = self.plan.duplicate.get(uid) if uid not in self._heirs else None
        while first in self._heirs:
            first = self._heirs[first]
        return first if first != uid else None

    def _number(self, uid: str) -> int:
        return int(self.plan.number[self.plan.asked.places([uid])[0]])

    def _turn(self, uid: str) -> tuple[int, tuple[str, str]]:
        return self._number(uid), uid_order(uid)

    def seal(self, most: int | None = None) -> list[PackJob]:
        """Close the shard numbers whose objects have all ended, in order, and say what each holds that changes.

        No more than `most` that are not packed yet are closed at a time.
        In order, because which of two objects with the same bytes is the copy may only be known when the lower number
        has ended.
        """
        jobs = list[PackJob]()
        while self._sealed < len(self._numbers) and (most is None or self._sealed - self._closed < most):
            number = self._numbers[self._sealed]
            if self._open[number]:
                break
            self._sealed += 1
            members = tuple(self._packable(number))
            if number in self.plan.certain or any(member.kept_in is None for member in members):
                jobs.append(PackJob(number, members))
            else:
                self.left.add(number)
                self._close(number, {})
        return jobs

    def settle(self, packed: Packed) -> None:
        """Note the shards that a number has become; all its objects have their rows by this."""
        self.packed.add(packed.number)
        self.written += [shard.name for shard in packed.shards]
        where = {entry.uid: _place(shard, entry) for shard in packed.shards for entry in shard.samples}
        self._samples += len(where) - np.count_nonzero(self.plan.state[self._members.of(packed.number)] == State.KEPT)
        self._close(packed.number, where)

    def _close(self, number: int, where: Mapping[str, dict[str, Any]]) -> None:
        """Note what is new of the objects of a number, of which those of `where` were packed just now."""
        places = self._members.of(number)
        self._parts += self._found(places, where)
        if len(self._parts) >= PARTS:
            for names in dict.fromkeys(tuple(part.column_names) for part in self._parts):
                alike = pyarrow.concat_tables(part for part in self._parts if tuple(part.column_names) == names)
                self._new.append(alike.unify_dictionaries().combine_chunks())
            self._parts.clear()
        for uid in self.plan.asked.uids[places]:
            self._ends.pop(uid.decode(), None)
            self.tries.pop(uid.decode(), None)

    @property
    def done(self) -> bool:
        """True when every object has ended and every shard is written."""
        return not +self._open and self._closed == len(self._numbers)

    @property
    def _closed(self) -> int:
        return len(self.packed) + len(self.left)

    @property
    def any_stands(self) -> bool:
        """True when a version made now would hold an object."""
        return self._samples > 0

    def changes(self, *, final: bool) -> Changes:
        """The rows that differ from what the catalogue has by now.

        Before the end only objects of closed numbers have new rows, and new objects one that says `pending`. There are
        none when all that is new is that some attempts ended as those before them.
        """
        asked, rows, nobody = self.plan.asked, self.plan.rows, np.zeros(0, np.int64)
        found = [*self._new, *self._parts, *(self._found(self._others(), {}) if final else ())]
        if final and not (self._news or len(self.plan.removed)):
            found = []
        pending = nobody if final or self._announced else self._pending()
        places = np.concatenate([pending, *(part["place"].to_numpy() for part in found)])
        return Changes(
            np.sort(asked.uids[places]),
            lambda: chain(map(self._whole, found), self._announcements(pending)),
            rows.uids[self.plan.removed if final else nobody],
        )

    def committed(self) -> None:
        """Forget what the catalogue has by now."""
        self._new.clear()
        self._parts.clear()
        self._announced, self._news = True, False

    def _packable(self, number: int) -> Iterator[Member]:
        known = list(self._known(self._members.of(number)))
        for place, item, _, stands in sorted(known, key=lambda one: uid_order(one[1].uid)):
            if self._original(item.uid) is not None or not self._good(place, item.uid):
                continue
            sha256 = self._sha256(place, item.uid)
            if (first := self._firsts.of(sha256, place)) != place:
                self._copies[item.uid] = self.plan.asked.uids[first].decode()
                continue
            yield self._member(place, item, sha256, stands)

    def _member(self, place: int, item: SourceObject, sha256: str, stands: Finding | None) -> Member:
        facts, split = item.facts(sha256), self.rules.split(sha256)
        end = self._ends.get(item.uid)
        if end is not None or stands is None:
            return Member(item.uid, split, facts, end.fingerprint if end is not None else "")
        shard, entry = location_of(stands)
        former = bool(self.plan.state[place] == State.FORMER)
        return Member(item.uid, split, facts, stands.fingerprint, shard, entry, former)

    def _known(self, places: Places) -> Iterator[tuple[int, SourceObject, Finding | None, Finding | None]]:
        """Each object at some places, with what the catalogue had of it when the build began, and with what says where
        its sample stands: the same, or a former version."""
        before = _records(self.plan.rows, self.plan.row[places])
        former = _records(self.plan.former, self.plan.former.places(self.plan.asked.uids[places]))
        items = self.plan.asked.records(places)
        for place, item, row, elsewhere in zip(places.tolist(), items, before, former, strict=True):
            yield place, item, row, elsewhere or row

    def _good(self, place: int, uid: str) -> bool:
        end = self._ends.get(uid)
        return bool(self._in_shards[place]) or (end is not None and end.outcome == Outcome.OK)

    def _sha256(self, place: int, uid: str) -> str:
        end = self._ends.get(uid)
        return (end.sha256 if end is not None else "") or str(self.plan.sha256[place].decode())

    def _found(self, places: Places, where: Mapping[str, dict[str, Any]]) -> Iterator[pyarrow.Table]:
        """What is new of settled objects: `where` says where those stand that were packed just now.

        Of those that only moved, their new places alone.
        """
        for start in range(0, len(places), CHUNK):
            known = self._known(places[start : start + CHUNK])
            found = [
                (place, self._finding(place, item, before, stands, where), before)
                for place, item, before, stands in known
            ]
            new = [one for one in found if one[1] != one[2] or self.plan.restated[one[0]]]
            self._news |= any(self.plan.restated[place] or _is_news(now, before) for place, now, before in new)
            moved = [before is not None and REST(now) == REST(before) for _, now, before in new]
            for names, which in ((MOVED, moved), (NEW, [not one for one in moved])):
                of = list(compress(new, which))
                if of:
                    table = table_of(Finding, [now for _, now, _ in of]).select(names)
                    yield compact(table.append_column("place", [[place for place, _, _ in of]]))

    def _finding(
        self,
        place: int,
        item: SourceObject,
        before: Finding | None,
        stands: Finding | None,
        where: Mapping[str, dict[str, Any]],
    ) -> Finding:
        uid, end = item.uid, self._ends.get(item.uid)
        if place in self.plan.rule:
            return _filtered(item, before, self.plan.rule[place])
        known: dict[str, Any] = {"shard": int(self.plan.number[place]), "sha256": self._sha256(place, uid)}
        known["attempts"] = self._attempts(uid, before or stands)
        original = self._original(uid) or self._copies.get(uid)
        if original is not None:
            said = {"outcome": Outcome.DUPLICATE.value, "reason": f"the same bytes as {original}"}
        elif self._good(place, uid) and (last := end or stands) is not None:
            said = {"outcome": Outcome.OK.value, "checks": last.checks, "fingerprint": last.fingerprint}
            known["facts_digest"] = item.facts_digest(known["sha256"])
            known |= where[uid] if known["shard"] in self.packed else _where(before)
        elif end is not None:
            said = {"outcome": end.outcome, "reason": end.reason, "phase": end.phase, "checks": end.checks}
            known["fingerprint"] = end.fingerprint or (known["sha256"] and self.rules.fingerprint(known["sha256"]))
        else:
            said = _standing(before)
        return Finding(uid=uid, **{**known, **said})

    def _attempts(self, uid: str, before: Finding | None) -> int:
        earlier = before.attempts if before is not None else 0
        return self.tries[uid] + self.tried.get(uid, earlier + (uid in self.plan.staged))

    def _others(self) -> Places:
        """The objects whose rows may be new without a shard being written."""
        plan = self.plan
        others = plan.restated | np.isin(plan.state, (State.ENDED, State.DUPLICATE, State.FILTERED))
        return np.flatnonzero(others & ((plan.state == State.FILTERED) | self._open_still))

    def _pending(self) -> Places:
        """The new objects whose shards are not written."""
        plan = self.plan
        return np.flatnonzero((plan.row < 0) & (plan.state != State.FILTERED) & self._open_still)

    @property
    def _open_still(self) -> Mask:
        """True for each object whose number is not closed."""
        return ~np.isin(self.plan.number, [*self.packed, *self.left])

    def _announcements(self, places: Places) -> Iterator[pyarrow.Table]:
        nothing = Finding(uid="")
        same = {name: getattr(nothing, name) for name in FOUND if name not in ("uid", "sha256", "shard")}
        for start in range(0, len(places), CHUNK):
            part = places[start : start + CHUNK]
            yield whole(self.plan.asked.rows(part).append_column("shard", [self.plan.number[part]]), same)

    def _whole(self, new: pyarrow.Table) -> pyarrow.Table:
        """Rows of what is new, with what their sources say, and with what else was known before."""
        places = new["place"].to_numpy()
        moved = new.column_names == [*MOVED, "place"]
        before = [self.plan.rows.rows(self.plan.row[places])] if moved else []
        said = (self.plan.asked.rows(places), *before, new)
        return whole(pyarrow.table({name: table[name] for table in said for name in table.column_names}), {})


class _Members:
    """The places of the objects of each shard number."""

    def __init__(self, plan: Plan) -> None:
        places = np.flatnonzero((plan.state != State.FILTERED) & (plan.number != UNASSIGNED))
        self._places = places[np.argsort(plan.number[places], kind="stable")]
        self._numbers = plan.number[self._places]

    def of(self, number: int) -> Places:
        first, end = np.searchsorted(self._numbers, [number, number + 1])
        return self._places[first:end]


def _is_news(now: Finding, before: Finding | None) -> bool:
    """False when an attempt only ended as the one before it, which says nothing of the object."""
    if before is None:
        return True
    reason = before.reason if now.outcome in TRANSIENT else now.reason
    return replace(now, attempts=before.attempts, reason=reason) != before


def _records(rows: Columns[Finding], places: Places) -> Iterator[Finding | None]:
    """The records at some places, None where a place is −1."""
    there = rows.records(places[places >= 0])
    return (next(there) if place >= 0 else None for place in places.tolist())


def _filtered(item: SourceObject, before: Finding | None, rule: str) -> Finding:
    known: dict[str, Any] = {"shard": before.shard, "attempts": before.attempts} if before is not None else {}
    sha256 = item.sha256 or (before.sha256 if before is not None else "")
    return Finding(uid=item.uid, **known, sha256=sha256, outcome=Outcome.FILTERED.value, reason=rule)


def _place(shard: ShardEntry, entry: SampleEntry) -> dict[str, Any]:
    return {
        "split": shard.split,
        "shard_name": shard.name,
        "shard_sha256": shard.sha256,
        "shard_bytes": shard.bytes,
        "sample_offset": entry.offset,
        "sample_bytes": entry.bytes,
    }


def _where(before: Finding | None) -> dict[str, Any]:
    return {name: getattr(before, name) for name in NOWHERE}


def _standing(before: Finding | None) -> dict[str, Any]:
    kept = ("outcome", "reason", "phase", "checks", "attempts", "sha256", "fingerprint")
    return {name: getattr(before, name) for name in kept}
