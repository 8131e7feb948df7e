"""The state of a dataset and of a running build, read from the dataset's files."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from base.storage import Storage
from pipeline.catalog.faults import RENDERED, fault_counts
from pipeline.catalog.lease import Holder, holder
from pipeline.catalog.tables import ATTEMPTS, Catalog
from pipeline.work.staging import staged_attempts
from shards.version import read_version, version_numbers


class EndedAttempt(NamedTuple):
    """The end of an attempt."""

    uid: str
    outcome: str
    reason: str


@dataclass(frozen=True)
class RunningBuild:
    """A running build: the holder of the lease, its outcomes so far, its pace and its last object."""

    holder: Holder
    run: str
    outcomes: Mapping[str, int] = field(default_factory=dict)
    objects_per_minute: float = 0.0
    last: EndedAttempt | None = None


@dataclass(frozen=True)
class Status:
    """The state of a dataset. `version` is 0 before the first version; `waiting` counts staged objects.

    `outcomes` and `faults` (faults of the data, by column) count objects of the catalogue.
    """

    version: int
    shards: int
    bytes: int
    outcomes: Mapping[str, int]
    faults: Mapping[str, int]
    waiting: int
    live: RunningBuild | None


RECENT_S = 600.0


def read_status(storage: Storage) -> Status:
    """Read the state of a dataset. Raises Failure for an unreadable catalogue."""
    catalog, numbers = Catalog(storage), version_numbers(storage)
    # From files alone: `read_status` works for people without the right to write, and during a build.
    shards = read_version(storage, numbers[-1]).shards if numbers else ()
    held = holder(storage)
    return Status(
        version=numbers[-1] if numbers else 0,
        shards=len(shards),
        bytes=sum(shard.bytes for shard in shards),
        outcomes=catalog.counts("outcome"),
        faults=fault_counts(catalog, RENDERED),
        waiting=len(staged_attempts(storage)),
        live=_live(held, catalog, time.time()) if held is not None and not held.gone else None,
    )


def _live(held: Holder, catalog: Catalog, now: float) -> RunningBuild:
    # The lease does not name the run, and until the first attempt nothing does. The builder is alone, so newer attempts
    # are its own.
    mine, recent = f"from rows where at >= {held.since!r}", f"at > {now - RECENT_S!r}"
    ended = catalog.select(ATTEMPTS, f"select outcome, count(*) as n {mine} group by outcome order by n desc, outcome")
    lately = catalog.select(ATTEMPTS, f"select count(*) as n {mine} and {recent}")
    newest = f"select run, uid, outcome, reason {mine} order by at desc, attempt desc limit 1"
    last = catalog.select(ATTEMPTS, newest)
    # A young build is measured over its own age.
    minutes = min(now - held.since, RECENT_S) / 60.0
    return RunningBuild(
        holder=held,
        run=last[0]["run"] if last else "",
        outcomes={row["outcome"]: row["n"] for row in ended},
        objects_per_minute=lately[0]["n"] / minutes if lately and minutes > 0.0 else 0.0,
        last=EndedAttempt(last[0]["uid"], last[0]["outcome"], last[0]["reason"]) if last else None,
    )
