"""The versions of a dataset: what each holds, how two differ, and how an earlier one becomes the newest again."""

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
    """One version in figures; `at` is when it was committed, in Unix seconds, 0 when the catalogue does not say."""

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
    """What has changed from version `old` to version `new`: objects by uid, shards by name, and bytes.

    `rendered` objects have other views, `described` the same views with other facts or in another split.
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
    def none(self) -> bool:
        """True when both versions hold the same."""
        return not (self.shards_added or self.shards_removed)


def versions(storage: Storage) -> list[VersionSummary]:
    """Every version that is still kept, ascending. Raises Failure when there is none or one cannot be read."""
    numbers = version_numbers(storage)
    if not numbers:
        read_version(storage)  # says so
    at = Catalog(storage).committed_at()
    return [_facts(kept_version(storage, number), at.get(number, 0.0)) for number in numbers]


def kept_version(storage: Storage, number: int) -> Version:
    """Version `number` as its file says, or where that is damaged as the catalogue does. Raises Failure for neither."""
    try:
        return read_version(storage, number)
    except Failure as damage:
        if number not in version_numbers(storage):
            raise
        try:
            return Catalog(storage).version(number)
        except Failure:
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


def difference(storage: Storage, old: int, new: int) -> Difference:
    """What changed between two versions. Raises Failure when one is not kept."""
    shards = [{shard.name: shard.bytes for shard in read_version(storage, number).shards} for number in (old, new)]
    before, after = (_standing(Catalog(storage).objects(number)) for number in (old, new))
    place = before.places(after.uids)
    rendered, facts, split = (
        texts(after.column(name)) != texts(before.aligned(name, place, ""))
        for name in ("fingerprint", "facts_digest", "split")
    )
    added = sorted(shards[1].keys() - shards[0].keys())
    return Difference(
        old=old,
        new=new,
        added=_named(after, place < 0),
        removed=_named(before, after.places(before.uids) < 0),
        rendered=_named(after, (place >= 0) & rendered),
        described=_named(after, (place >= 0) & ~rendered & (facts | split)),
        shards_added=tuple(added),
        shards_removed=tuple(sorted(shards[0].keys() - shards[1].keys())),
        bytes_added=sum(shards[1][name] for name in added),
    )


def _standing(rows: Columns[ObjectRow]) -> Columns[ObjectRow]:
    standing = np.flatnonzero(texts(rows.column("outcome")) == Outcome.OK.encode())
    return Columns.joined(ObjectRow, [rows.rows(standing)])


def _named(rows: Columns[ObjectRow], which: Mask) -> tuple[str, ...]:
    return tuple(uid.decode() for uid in rows.uids[which])


def restore(storage: Storage, number: int, lease_s: float) -> Version:
    """Make a new version that holds what version `number` holds, and return it.

    Raises Failure when that version or a shard of it is no longer there, when it is the newest, and when someone
    builds.
    """
    check_earlier(storage, number)
    with Lease(storage, lease_s) as lease:
        catalog = Catalog(storage)
        catalog.publish()
        check_earlier(storage, number)
        wanted = catalog.version(number)
        gone = [shard.name for shard in wanted.shards if not storage.exists(shard.name)]
        if gone:
            raise Failure(f"{storage.root}: version {number}: expected {gone[0]}, got none of {len(gone)} shards")
        lease.check()
        made = catalog.restore(number)
        refresh_card(storage, made)
        return made


def check_earlier(storage: Storage, number: int) -> None:
    """Raise Failure unless version `number` is kept and not the newest."""
    numbers = version_numbers(storage)
    if number not in numbers:
        read_version(storage, number)  # says so
    if number == numbers[-1]:
        raise Failure(f"{storage.root}: expected a version before the newest, got {number}, which is the newest")


def check_against_catalogue(storage: Storage, version: Version) -> None:
    """Raise Failure when the file of a version is not what the catalogue's rows of that version make."""
    made = Catalog(storage).version(version.number)
    if made != version:
        raise Failure(
            f"{storage.root}/{version_name(version.number)}: expected what the catalogue says, got another text"
        )
