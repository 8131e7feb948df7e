"""What a build has to do: a plan, and the rules that it follows. `planning` makes one."""

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

AGAIN = frozenset(
    {
        *(Outcome.PENDING, Outcome.LOST, Outcome.THROTTLED, Outcome.MODIFIED, Outcome.REMOVED),
        *(Outcome.DUPLICATE, Outcome.FILTERED),
    }
)
"""Outcomes that say nothing about the object itself: the next build tries again."""

TRANSIENT = frozenset({Outcome.LOST, Outcome.THROTTLED, Outcome.MODIFIED})
"""Those of attempts; who ends so once more has brought no news."""

FAILED = frozenset(Outcome) - {Outcome.OK, Outcome.PENDING, Outcome.DUPLICATE, Outcome.FILTERED, Outcome.REMOVED}
"""Outcomes that a person may ask to have tried again."""


class State(IntEnum):
    """What a build does with an object that is asked for."""

    KEPT = 0
    """It stands in its shard as wanted."""
    ENDED = 1
    """It ended badly before and would again."""
    STAGED = 2
    """It is rendered and waits."""
    RENDER = 3
    DUPLICATE = 4
    """Another object has the same bytes, and stands for it unless its own cannot be had."""
    FILTERED = 5
    """A rule leaves it out."""
    FORMER = 6
    """A former version has its sample as wanted."""


IN_SHARDS = (State.KEPT, State.FORMER)
"""States of objects whose samples are in shards before the work begins."""


@dataclass(frozen=True)
class Rules:
    """What a plan depends on: how many objects a shard has, how splits fall, the fingerprint, which outcomes of
    earlier builds do not count this time, the rules that leave objects out, by index, the names of shards that
    the catalogue has and the storage has not, and where former versions have samples of some uids and fingerprints."""

    objects_per_shard: int
    val_fraction: float
    fingerprints: Callable[[str], str]
    retry: frozenset[str] = frozenset()
    find_refusals: Callable[[Columns[SourceObject]], Mapping[int, str]] | None = None
    lost: frozenset[str] = frozenset()
    former: Callable[[Texts, Texts], Columns[BuildResult]] | None = None
    leaves_out_missing: bool = False
    """Objects with missing pictures do not stay: they are tried again, and end as `missing_pictures`."""

    def fingerprint(self, sha256: str) -> str:
        """The fingerprint of an object of these bytes under today's view settings."""
        return self.fingerprints(sha256)

    def split(self, sha256: str) -> str:
        """The split of an object of these bytes."""
        return split_of(sha256, self.val_fraction)


@dataclass(frozen=True)
class Plan:
    """What to do with each object of `asked`, given the `rows` of the catalogue.

    `state`, `number` (the shard's) and `sha256` (empty as long as it is unknown) say it by index in `asked`, as do
    `row`, its index in `rows` (−1 for none), and `restated`, true when its source or number is not what its row says.
    `order` is the indices to be rendered, in that order. `failed` and `staged` are the attempts, by uid, that tell how
    an object ended where its row does not; `duplicate` names the object that has the same bytes, `rule` the one that
    leaves an object out.
    `removed` are indices in `rows` that were asked for once. `rewrite` are the shard numbers that change when every
    render succeeds, `certain` those of them that change in any case.
    `former` says where the samples of FORMER objects are, and what their checks said.
    """

    rules: Rules
    asked: Columns[SourceObject]
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
        """True when nothing is to be rendered or written."""
        return not (len(self.order) or self.staged or self.rewrite)

    @property
    def hopeless(self) -> bool:
        """True when no object would stand, however the work goes."""
        return not self.count(State.KEPT, State.STAGED, State.RENDER, State.FORMER)

    def count(self, *states: State) -> int:
        """How many objects are in one of some states."""
        return int(np.count_nonzero(np.isin(self.state, states)))

    @property
    def reused(self) -> int:
        """How many objects need no rendering, for they were rendered before."""
        return self.count(*IN_SHARDS) + len(self.staged)

    def fingerprint(self, uid: str) -> str:
        """What the views of an object depend on, in digits; empty when it is not asked for or its bytes are unknown."""
        index = self.asked.indices([uid])[0]
        sha256 = self.sha256[index].decode() if index >= 0 else ""
        return self.rules.fingerprint(sha256) if sha256 else ""

    def uids(self, state: State) -> tuple[str, ...]:
        """The objects in a state, those to be rendered in that order, the others in order of uid."""
        indices = self.order if state == State.RENDER else np.flatnonzero(self.state == state)
        return tuple(uid.decode() for uid in self.asked.uids[indices])

    @property
    def render(self) -> tuple[str, ...]:
        """The objects to be rendered, in that order."""
        return self.uids(State.RENDER)

    def to_render(self) -> Iterator[SourceObject]:
        """The objects to be rendered, in that order, made when they are asked for."""
        return self.asked.records(self.order)

    def sentence(self) -> str:
        """The plan in one line."""
        notes = {"rendered and not packed yet": len(self.staged), "out of former versions": len(self.former)}
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
            f"{len(self.asked)} objects: render {len(self.order)}, {reused}{told}; "
            f"rewrite {len(self.rewrite)} shard numbers"
        )
