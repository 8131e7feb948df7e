"""The plan of a build, and the rules behind it. `planner` makes plans."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from base.outcomes import Outcome
from pipeline.catalog.columns import Columns, Indices
from pipeline.catalog.objects import SourceObject
from pipeline.catalog.rows import Attempt, BuildResult
from pipeline.plan.assign import Numbers, split_of
from pipeline.plan.catalog_join import Mask, Texts
from report.wording import BUILDING, Wording

RETRIED = frozenset(
    {
        *(Outcome.PENDING, Outcome.LOST, Outcome.THROTTLED, Outcome.MODIFIED, Outcome.REMOVED),
        *(Outcome.DUPLICATE, Outcome.FILTERED),
    }
)
"""Outcomes unrelated to the object itself: the next build tries again."""

TRANSIENT = frozenset({Outcome.LOST, Outcome.THROTTLED, Outcome.MODIFIED})
"""Outcomes of attempts without news if they repeat."""

FAILED = frozenset(Outcome) - {Outcome.OK, Outcome.PENDING, Outcome.DUPLICATE, Outcome.FILTERED, Outcome.REMOVED}
"""Outcomes to retry on request."""


class State(IntEnum):
    """What a build does with an object."""

    KEPT = 0
    """Its sample is in its shard as wanted."""
    ENDED = 1
    """It ended badly before and would again."""
    STAGED = 2
    """Its views are rendered and wait to be packed."""
    RENDER = 3
    DUPLICATE = 4
    """Another object has the same bytes. It is rendered only if the bytes of that object cannot be fetched."""
    FILTERED = 5
    """A rule leaves it out."""
    FORMER = 6
    """A former version has its sample as wanted."""


IN_SHARDS = (State.KEPT, State.FORMER)
"""States of objects with samples in shards before the work begins."""


@dataclass(frozen=True)
class Rules:
    """The inputs of a plan beside objects and catalogue.

    `fingerprints` maps a source's sha256 to a fingerprint. `retry` are outcomes of earlier builds to ignore this time.
    `refusals` finds the rules against objects, by index. `lost` are catalogued shards missing from storage. `former`
    finds samples in former versions by uid and fingerprint.
    """

    objects_per_shard: int
    val_fraction: float
    fingerprints: Callable[[str], str]
    retry: frozenset[str] = frozenset()
    find_refusals: Callable[[Columns[SourceObject]], Mapping[int, str]] | None = None
    lost: frozenset[str] = frozenset()
    former: Callable[[Texts, Texts], Columns[BuildResult]] | None = None
    leaves_out_missing: bool = False
    """Objects with missing pictures do not stay: they are tried again, and end as `missing_pictures`."""
    wording: Wording = BUILDING

    def fingerprint(self, sha256: str) -> str:
        """Return the fingerprint of an object of these bytes under today's view settings."""
        return self.fingerprints(sha256)

    def split(self, sha256: str) -> str:
        """Return the split of an object of these bytes."""
        return split_of(sha256, self.val_fraction)


@dataclass(frozen=True)
class Plan:
    """What to do with each object of `requested`, given the `rows` of the catalogue.

    `state`, `number` (of the shard) and `sha256` (empty while unknown) are arrays by index in `requested`. So are
    `row`, the index in `rows` (−1 without a row), and `restated`, true if source or number differ from the row. `order`
    has the indices to render, in order.

    `failed` and `staged` are attempts by uid not yet in a row. `duplicate` maps copies to originals, and `rule` the
    indices of objects left out to their rule. `removed` are indices in `rows` of objects no longer asked for. `rewrite`
    are the shard numbers to change if every render succeeds, `certain` those to change in any case. `former` has the
    locations and checks of FORMER samples.
    """

    rules: Rules
    requested: Columns[SourceObject]
    rows: Columns[BuildResult]
    state: NDArray[np.int8]
    number: Numbers
    sha256: Texts
    row: Indices
    restated: Mask
    order: Indices
    failed: Mapping[str, Attempt]
    staged: Mapping[str, Attempt]
    duplicate: Mapping[str, str]
    rule: Mapping[int, str]
    removed: Indices
    rewrite: frozenset[int]
    certain: frozenset[int]
    former: Columns[BuildResult]

    @property
    def idle(self) -> bool:
        """True if nothing is to be rendered or written."""
        return not (len(self.order) or self.staged or self.rewrite)

    @property
    def would_be_empty(self) -> bool:
        """True if the version would be empty, however the work goes."""
        return not self.count(State.KEPT, State.STAGED, State.RENDER, State.FORMER)

    def count(self, *states: State) -> int:
        """Return the number of objects in some states."""
        return int(np.count_nonzero(np.isin(self.state, states)))

    @property
    def reused(self) -> int:
        """The number of objects rendered before."""
        return self.count(*IN_SHARDS) + len(self.staged)

    def fingerprint(self, uid: str) -> str:
        """Return the fingerprint of an object; empty if it is not asked for or its bytes are unknown."""
        index = self.requested.indices([uid])[0]
        sha256 = self.sha256[index].decode() if index >= 0 else ""
        return self.rules.fingerprint(sha256) if sha256 else ""

    def uids(self, state: State) -> tuple[str, ...]:
        """Return the uids of objects in a state: in render order, or else sorted."""
        indices = self.order if state == State.RENDER else np.flatnonzero(self.state == state)
        return tuple(uid.decode() for uid in self.requested.uids[indices])

    @property
    def render(self) -> tuple[str, ...]:
        """The uids to render, in order."""
        return self.uids(State.RENDER)

    def to_render(self) -> Iterator[SourceObject]:
        """Yield the objects to render, in order."""
        return self.requested.records(self.order)

    def sentence(self) -> str:
        """Return the plan in a line."""
        words = self.rules.wording
        notes = {f"{words.done} and not packed yet": len(self.staged), "out of former versions": len(self.former)}
        noted = ", ".join(f"{count} of them {what}" for what, count in notes.items() if count)
        rest = {
            "failed before": self.count(State.ENDED),
            "duplicates": self.count(State.DUPLICATE),
            "filtered out": self.count(State.FILTERED),
            "removed": len(self.removed),
        }
        told = "".join(f", {count} {what}" for what, count in rest.items() if count)
        reused = f"reuse {self.reused}" + (f" ({noted})" if noted else "")
        return (
            f"{len(self.requested)} {words.item}s: {words.do} {len(self.order)}, {reused}{told}; "
            f"rewrite {len(self.rewrite)} shard numbers"
        )
