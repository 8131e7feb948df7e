"""What a build has to do, from what is asked for, what the catalogue says and what waits in staging."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from base.outcomes import Outcome
from pipeline.assign import assign, duplicates, split_of
from pipeline.objects import SourceObject, uid_order
from pipeline.rows import UNASSIGNED, Attempt, ObjectRow

AGAIN = frozenset(
    {
        *(Outcome.PENDING, Outcome.LOST, Outcome.THROTTLED, Outcome.MODIFIED, Outcome.REMOVED),
        *(Outcome.DUPLICATE, Outcome.FILTERED),
    }
)
"""Outcomes that say nothing about the object itself: the next build tries again."""

FAILED = frozenset(Outcome) - {Outcome.OK, Outcome.PENDING, Outcome.DUPLICATE, Outcome.FILTERED, Outcome.REMOVED}
"""Outcomes that a person may ask to have tried again."""


@dataclass(frozen=True)
class Wanted:
    """One object as this build wants it: its shard number, and its bytes and fingerprint as far as they are known."""

    item: SourceObject
    number: int
    sha256: str
    fingerprint: str


@dataclass(frozen=True)
class Plan:
    """What to do with each object; every uid asked for is in exactly one of `kept` to `filtered`.

    `kept` stand in their shard as wanted; `ended` ended badly before and would again
    (with the attempt, when only that tells it); `staged` are rendered and wait;
    `duplicate` names the object that has the same bytes; `filtered` tells the rule that leaves an object out, which
    is not in `wanted`. `removed` were asked for once. `rewrite` are the shard
    numbers that change.
    """

    wanted: Mapping[str, Wanted]
    kept: tuple[str, ...]
    ended: Mapping[str, Attempt | None]
    staged: Mapping[str, Attempt]
    render: tuple[str, ...]
    duplicate: Mapping[str, str]
    filtered: Mapping[str, tuple[SourceObject, str]]
    removed: tuple[str, ...]
    rewrite: frozenset[int]

    @property
    def idle(self) -> bool:
        """True when nothing is to be rendered or written."""
        return not (self.render or self.staged or self.rewrite)

    def members(self, number: int) -> list[str]:
        """The objects of one shard number that are asked for."""
        return sorted(uid for uid, wanted in self.wanted.items() if wanted.number == number)

    def sentence(self) -> str:
        """The plan in one line."""
        waiting = f" ({len(self.staged)} of them rendered and not packed yet)" if self.staged else ""
        rest = {
            "failed before": len(self.ended),
            "duplicates": len(self.duplicate),
            "filtered out": len(self.filtered),
            "removed": len(self.removed),
        }
        told = "".join(f", {count} {what}" for what, count in rest.items() if count)
        return (
            f"{len(self.wanted) + len(self.filtered)} objects: render {len(self.render)}, "
            f"reuse {len(self.kept) + len(self.staged)}{waiting}{told}; rewrite {len(self.rewrite)} shard numbers"
        )


def make_plan(
    requested: Sequence[SourceObject],
    rows: Mapping[str, ObjectRow],
    staged: Sequence[Attempt],
    failed: Mapping[tuple[str, str], Attempt],
    rules: "Rules",
) -> Plan:
    """The plan for `requested`, given the catalogue's `rows`, the attempts whose views are `staged`, and those that
    ended badly for good, by (uid, fingerprint)."""
    asked = {item.uid: item for item in requested}
    filtered = {uid: (item, rule) for uid, item in asked.items() if (rule := rules.refusal(item))}
    items = {uid: item for uid, item in asked.items() if uid not in filtered}
    waiting = {attempt.uid: attempt for attempt in staged if rules.fingerprint(attempt.sha256) == attempt.fingerprint}
    sha256 = {uid: _sha256(item, rows.get(uid), waiting.get(uid)) for uid, item in items.items()}
    existing = {uid: row.shard for uid, row in rows.items() if row.shard != UNASSIGNED}
    copies = duplicates(sha256, existing)
    numbers = assign(existing, set(items) - set(copies), rules.objects_per_shard)
    wanted = {
        uid: Wanted(
            item,
            numbers.get(uid, existing.get(uid, UNASSIGNED)),
            sha256[uid],
            rules.fingerprint(sha256[uid]) if sha256[uid] else "",
        )
        for uid, item in items.items()
    }
    sorting = _Sorting(wanted, rows, waiting, failed, rules)
    states = {uid: "duplicate" if uid in copies else sorting.state(uid) for uid in wanted}
    of = {
        state: tuple(sorted((uid for uid in wanted if states[uid] == state), key=lambda uid: _order(wanted[uid])))
        for state in ("kept", "ended", "staged", "render")
    }
    removed = tuple(uid for uid, row in sorted(rows.items()) if uid not in asked and row.outcome != Outcome.REMOVED)
    changed = {*of["render"], *of["staged"], *(uid for uid in (*of["kept"], *of["ended"]) if sorting.moved(uid))}
    gone = {uid for uid in (*removed, *copies, *filtered) if uid in rows and rows[uid].ok}
    return Plan(
        wanted=wanted,
        kept=of["kept"],
        ended={uid: failed.get((uid, wanted[uid].fingerprint)) for uid in of["ended"]},
        staged={uid: waiting[uid] for uid in of["staged"]},
        render=of["render"],
        duplicate=copies,
        filtered=filtered,
        removed=removed,
        rewrite=frozenset({wanted[uid].number for uid in changed} | {rows[uid].shard for uid in gone}),
    )


@dataclass(frozen=True)
class Rules:
    """What a plan depends on: how many objects a shard has, how splits fall, the fingerprint, which outcomes of
    earlier builds do not count this time, and the rule, if any, that leaves an object out."""

    objects_per_shard: int
    val_fraction: float
    views: Callable[[str], str]
    retry: frozenset[str] = frozenset()
    refusal: Callable[[SourceObject], str] = field(default=lambda _: "")

    def fingerprint(self, sha256: str) -> str:
        """The fingerprint of an object of these bytes under today's view settings."""
        return self.views(sha256)

    def split(self, sha256: str) -> str:
        """The split of an object of these bytes."""
        return split_of(sha256, self.val_fraction)


@dataclass(frozen=True)
class _Sorting:
    wanted: Mapping[str, Wanted]
    rows: Mapping[str, ObjectRow]
    waiting: Mapping[str, Attempt]
    failed: Mapping[tuple[str, str], Attempt]
    rules: Rules

    def state(self, uid: str) -> str:
        row, wanted = self.rows.get(uid), self.wanted[uid]
        if row is not None and row.outcome not in AGAIN | self.rules.retry and self._same(row, wanted):
            return "kept" if row.ok else "ended"
        if uid in self.waiting:
            return "staged"
        return "ended" if (uid, wanted.fingerprint) in self.failed else "render"

    def moved(self, uid: str) -> bool:
        """True when an object that stays as it is must be written anew: its facts or its split are others now."""
        row, wanted = self.rows.get(uid), self.wanted[uid]
        if row is None or not row.ok:
            return False
        facts = wanted.item.facts_digest(wanted.sha256)
        return row.facts_digest != facts or row.split != self.rules.split(wanted.sha256)

    @staticmethod
    def _same(row: ObjectRow, wanted: Wanted) -> bool:
        return row.fingerprint == wanted.fingerprint and (bool(row.fingerprint) or row.location == wanted.item.location)


def _sha256(item: SourceObject, row: ObjectRow | None, waiting: Attempt | None) -> str:
    """What is known of the object's bytes: from the source, else from an earlier build of the same location."""
    if item.sha256:
        return item.sha256
    if row is not None and row.sha256 and row.location == item.location:
        return row.sha256
    return waiting.sha256 if waiting is not None else ""


def _order(wanted: Wanted) -> tuple[int, tuple[str, str]]:
    """Shard by shard, so that shards are sealed early."""
    return wanted.number, uid_order(wanted.item.uid)


def counted(rows: Mapping[str, ObjectRow]) -> dict[str, int]:
    """How many objects ended how, the most frequent first."""
    return dict(Counter(row.outcome for row in rows.values()).most_common())
