"""The books of one build: how each object ended so far, which shards were written, and the rows that follow."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from base.outcomes import CHILD_DEATHS, Outcome
from pipeline.objects import SourceObject, uid_order
from pipeline.pack import Member, Packed, PackJob
from pipeline.plan import AGAIN, Plan, Rules
from pipeline.rows import Attempt, ObjectRow
from shards.version import SampleEntry, ShardEntry

NOWHERE: dict[str, Any] = {
    "split": "",
    "shard_name": "",
    "shard_sha256": "",
    "shard_bytes": 0,
    "sample_offset": 0,
    "sample_bytes": 0,
}
"""What a row says of its place when the object stands in no shard."""


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


@dataclass
class Ledger:
    """What is known so far. `rows` are the catalogue's when the build began."""

    plan: Plan
    rules: Rules
    rows: Mapping[str, ObjectRow]
    ends: dict[str, Attempt] = field(default_factory=dict)
    tries: Counter[str] = field(default_factory=Counter)
    packed: dict[int, Packed] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)
    _first: dict[str, str] = field(default_factory=dict)
    _sealed: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.ends.update(self.plan.staged)
        self.ends.update({uid: attempt for uid, attempt in self.plan.ended.items() if attempt is not None})
        self._first.update({self.plan.wanted[uid].sha256: uid for uid in self.plan.kept})

    def seal(self) -> list[PackJob]:
        """Close every shard number whose objects have all ended, in order, and say which are to be packed how.

        In order, because which of two objects with the same bytes is the copy may only be known when the lower number
        has ended.
        """
        jobs = []
        waiting = {self.plan.wanted[uid].number for uid in self.plan.render if uid not in self.ends}
        open_from = min(waiting, default=None)
        for number in sorted(self.plan.rewrite - self._sealed):
            if open_from is not None and number >= open_from:
                break
            self._sealed.add(number)
            jobs.append(PackJob(number, tuple(self._members(number))))
        return jobs

    @property
    def done(self) -> bool:
        """True when every object has ended and every shard is written."""
        return all(uid in self.ends for uid in self.plan.render) and set(self.packed) == set(self.plan.rewrite)

    def _members(self, number: int) -> list[Member]:
        members = []
        for uid in sorted(self.plan.members(number), key=uid_order):
            if uid in self.plan.duplicate or not self._good(uid):
                continue
            sha256 = self._sha256(uid)
            if self._first.setdefault(sha256, uid) != uid:
                self.copies[uid] = self._first[sha256]
                continue
            members.append(self._member(uid, sha256))
        return members

    def _good(self, uid: str) -> bool:
        return uid in self.plan.kept or (uid in self.ends and self.ends[uid].outcome == Outcome.OK)

    def _sha256(self, uid: str) -> str:
        return self.ends[uid].sha256 if uid in self.ends else self.plan.wanted[uid].sha256

    def _member(self, uid: str, sha256: str) -> Member:
        facts, split = self.plan.wanted[uid].item.facts(sha256), self.rules.split(sha256)
        if uid in self.ends:
            return Member(uid, split, facts, self.ends[uid].fingerprint)
        row = self.rows[uid]
        shard = ShardEntry(row.shard_name, row.split, row.shard, row.shard_bytes, row.shard_sha256, ())
        entry = SampleEntry(uid, row.sample_offset, row.sample_bytes)
        return Member(uid, split, facts, row.fingerprint, shard, entry)

    def changed_rows(self, *, final: bool) -> list[ObjectRow]:
        """The rows that differ from the catalogue's, in order of uid.

        Before the end only objects of written shards have new rows, and new objects one that says `pending`.
        """
        rows = [self._row(uid, final=final) for uid in self.plan.wanted]
        if final:
            rows += [
                replace(self.rows[uid], outcome=Outcome.REMOVED.value, reason="", **NOWHERE)
                for uid in self.plan.removed
            ]
            rows += [self._filtered_row(item, rule) for item, rule in self.plan.filtered.values()]
        return sorted((row for row in rows if row != self.rows.get(row.uid)), key=lambda row: row.uid)

    def _row(self, uid: str, *, final: bool) -> ObjectRow:
        wanted, before = self.plan.wanted[uid], self.rows.get(uid)
        settled = final or wanted.number in self.packed
        if not settled:
            return before or ObjectRow.of(wanted.item, shard=wanted.number)
        known: dict[str, Any] = {"shard": wanted.number, "sha256": self._sha256(uid), "attempts": self._attempts(uid)}
        original = self.plan.duplicate.get(uid) or self.copies.get(uid)
        if original is not None:
            said = {"outcome": Outcome.DUPLICATE.value, "reason": f"the same bytes as {original}"}
        elif self._good(uid):
            said = {"outcome": Outcome.OK.value, "checks": (self.ends.get(uid) or self.rows[uid]).checks}
            known |= {"fingerprint": self._fingerprint(uid), **self._place(uid)}
            known["facts_digest"] = wanted.item.facts_digest(known["sha256"])
        elif uid in self.ends:
            end = self.ends[uid]
            said = {"outcome": end.outcome, "reason": end.reason, "phase": end.phase, "checks": end.checks}
            known["fingerprint"] = end.fingerprint
        else:
            return ObjectRow.of(wanted.item, **_standing(self.rows[uid]), shard=wanted.number)
        return ObjectRow.of(wanted.item, **known, **said)

    def _filtered_row(self, item: SourceObject, rule: str) -> ObjectRow:
        before = self.rows.get(item.uid)
        known: dict[str, Any] = {"shard": before.shard, "attempts": before.attempts} if before is not None else {}
        sha256 = {"sha256": item.sha256 or (before.sha256 if before is not None else "")}
        return ObjectRow.of(item, **known, **sha256, outcome=Outcome.FILTERED.value, reason=rule)

    def _attempts(self, uid: str) -> int:
        before, end = self.rows.get(uid), self.ends.get(uid)
        recorded = before is not None and end is not None and before.fingerprint == end.fingerprint
        found = uid in self.plan.staged or (uid in self.plan.ended and end is not None and not recorded)
        return self.tries[uid] + found + (before.attempts if before is not None else 0)

    def _fingerprint(self, uid: str) -> str:
        return self.ends[uid].fingerprint if uid in self.ends else self.rows[uid].fingerprint

    def _place(self, uid: str) -> dict[str, Any]:
        packed = self.packed.get(self.plan.wanted[uid].number)
        if packed is None:
            row = self.rows[uid]
            return {name: getattr(row, name) for name in NOWHERE}
        for shard in packed.shards:
            for entry in shard.samples:
                if entry.uid == uid:
                    return {
                        "split": shard.split,
                        "shard_name": shard.name,
                        "shard_sha256": shard.sha256,
                        "shard_bytes": shard.bytes,
                        "sample_offset": entry.offset,
                        "sample_bytes": entry.bytes,
                    }
        raise AssertionError(f"{uid} was packed into number {packed.number}")


def _standing(row: ObjectRow) -> dict[str, Any]:
    kept = ("outcome", "reason", "phase", "checks", "attempts", "sha256", "fingerprint")
    return {name: getattr(row, name) for name in kept}
