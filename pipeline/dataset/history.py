"""The versions of a dataset: list them, compare two, and restore an earlier version."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from base.errors import Failure
from base.outcomes import Outcome
from base.storage import Storage
from pipeline.catalog.columns import Columns, texts
from pipeline.catalog.lease import Lease
from pipeline.catalog.rows import ObjectRow
from pipeline.catalog.tables import Catalog
from pipeline.dataset.card import refresh_card
from pipeline.plan.catalog_join import Mask
from shards.version import SPLITS, Version, read_version, version_name, version_numbers


@dataclass(frozen=True)
class VersionSummary:
    """A version in figures. `at` is its commit time in Unix seconds, or 0 if unknown."""

    number: int
    at: float
    objects: Mapping[str, int]
    shards: int
    bytes: int
    views: int
    hw: tuple[int, int]
    settings_digest: str


@dataclass(frozen=True)
class Difference:
    """The changes from version `old` to version `new`: objects by uid, shards by name, and bytes.

    `rendered` objects have new views. `described` objects have the same views with new facts or in another split.
    """

    old: int
    new: int
    added: tuple[str, ...]
    removed: tuple[str, ...]
    rendered: tuple[str, ...]
    described: tuple[str, ...]
    shards_added: tuple[str, ...]
    shards_removed: tuple[str, ...]
    bytes_added: int

    @property
    def is_empty(self) -> bool:
        """True when both versions hold the same shards."""
        return not (self.shards_added or self.shards_removed)


def list_versions(storage: Storage) -> list[VersionSummary]:
    """List the kept versions, ascending. Raises Failure without a version, or when a version cannot be read."""
    numbers = version_numbers(storage)
    if not numbers:
        read_version(storage)  # raises the right Failure
    at = Catalog(storage).committed_at()
    return [_facts(read_kept_version(storage, number), at.get(number, 0.0)) for number in numbers]


def read_kept_version(storage: Storage, number: int) -> Version:
    """Read version `number` from its file, or from the catalogue if that is damaged. Raises Failure without both."""
    try:
        return read_version(storage, number)
    except Failure as damage:
        if number not in version_numbers(storage):
            raise
        try:
            return Catalog(storage).version(number)
        except Failure:
            # The first error names the file to repair; the second is only its consequence.
            raise damage from None


def _facts(version: Version, at: float) -> VersionSummary:
    return VersionSummary(
        number=version.number,
        at=at,
        objects={split: version.samples(split) for split in SPLITS},
        shards=len(version.shards),
        bytes=sum(shard.bytes for shard in version.shards),
        views=version.views,
        hw=version.hw,
        settings_digest=version.settings_digest,
    )


def compare_versions(storage: Storage, old: int, new: int) -> Difference:
    """Compare two versions. Raises Failure when a version is not kept."""
    # Shards are named by their content, so equal names are equal bytes and need no reading.
    shards = [{shard.name: shard.bytes for shard in read_version(storage, number).shards} for number in (old, new)]
    before, after = (_successful(Catalog(storage).objects(number)) for number in (old, new))
    index = before.indices(after.uids)
    rendered, facts, split = (
        texts(after.column(name)) != texts(before.align(name, index, ""))
        for name in ("fingerprint", "facts_digest", "split")
    )
    added = sorted(shards[1].keys() - shards[0].keys())
    return Difference(
        old=old,
        new=new,
        added=_uids(after, index < 0),
        removed=_uids(before, after.indices(before.uids) < 0),
        rendered=_uids(after, (index >= 0) & rendered),
        described=_uids(after, (index >= 0) & ~rendered & (facts | split)),
        shards_added=tuple(added),
        shards_removed=tuple(sorted(shards[0].keys() - shards[1].keys())),
        bytes_added=sum(shards[1][name] for name in added),
    )


def _successful(rows: Columns[ObjectRow]) -> Columns[ObjectRow]:
    indices = np.flatnonzero(texts(rows.column("outcome")) == Outcome.OK.encode())
    # Other outcomes have no sample, so a change between two of them changes nothing in the dataset.
    return Columns.from_tables(ObjectRow, [rows.rows(indices)])


def _uids(rows: Columns[ObjectRow], which: Mask) -> tuple[str, ...]:
    return tuple(uid.decode() for uid in rows.uids[which])


def restore(storage: Storage, number: int, lease_s: float) -> Version:
    """Make and return a new version with the content of version `number`.

    Raises Failure when that version or a shard of it is gone, when it is the newest, and during a build.
    """
    check_earlier(storage, number)
    with Lease(storage, lease_s) as lease:
        catalog = Catalog(storage)
        # A crashed builder may have left the newest version without its file.
        catalog.publish()
        # Again, now that no builder can make or remove versions.
        check_earlier(storage, number)
        wanted = catalog.version(number)
        gone = [shard.name for shard in wanted.shards if not storage.exists(shard.name)]
        if gone:
            raise Failure(f"{storage.root}: version {number}: expected {gone[0]}, found {len(gone)} shards missing")
        # Checking the shards takes a while on a remote store.
        lease.check()
        made = catalog.restore(number)
        refresh_card(storage, made)
        return made


def check_earlier(storage: Storage, number: int) -> None:
    """Raise Failure unless version `number` is kept and not the newest."""
    numbers = version_numbers(storage)
    if number not in numbers:
        read_version(storage, number)  # raises the right Failure
    if number == numbers[-1]:
        raise Failure(f"{storage.root}: expected a version before the newest, got {number}, which is the newest")


def check_against_catalogue(storage: Storage, version: Version) -> None:
    """Raise Failure when a version's file differs from the catalogue."""
    made = Catalog(storage).version(version.number)
    if made != version:
        raise Failure(
            f"{storage.root}/{version_name(version.number)}: expected the content of the catalogue, got another"
        )
