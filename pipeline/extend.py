"""A larger number of views: what an object's sample has stays, byte for byte; only the views after it are made."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from base.errors import Failure
from base.outcomes import Outcome
from base.storage import Storage
from pipeline.columns import Columns, Places, texts
from pipeline.plan import Plan
from pipeline.rows import Finding
from render.earlier import NONE, EarlierViews
from render.settings import RenderSettings
from shards.read import read_sample
from shards.sample import view_members
from shards.version import SampleEntry, ShardEntry, Version

Place = tuple[ShardEntry, SampleEntry]
"""Where a sample stands; the shard's entry is without its list of samples."""


def place_of(row: Finding) -> Place:
    """Where the sample of an object that ended well stands."""
    shard = ShardEntry(row.shard_name, row.split, row.shard, row.shard_bytes, row.shard_sha256, ())
    return shard, SampleEntry(row.uid, row.sample_offset, row.sample_bytes)


class _Standing(Mapping[str, Place]):
    """Where the samples stand that are at some places of the catalogue's rows."""

    def __init__(self, rows: Columns[Finding], places: Places) -> None:
        self._rows, self._places = rows, np.sort(places)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        return (row.uid for row in self._rows.records(self._places))

    def __getitem__(self, uid: str) -> Place:
        (place,) = self._rows.places([uid])
        found = np.searchsorted(self._places, place)
        if found == len(self._places) or self._places[found] != place:
            raise KeyError(uid)
        return place_of(self._rows.at([place])[0])


def fewer_views(
    plan: Plan,
    version: Version | None,
    render: RenderSettings,
    fingerprints: Callable[[RenderSettings], Callable[[str], str]],
) -> Mapping[str, Place]:
    """The samples of objects to be rendered that differ from what is asked for by having fewer views, by uid.

    `fingerprints` gives, for view settings, the fingerprint of an object's sha256.
    """
    if version is None or version.views >= render.views:
        return {}
    before = fingerprints(render.model_copy(update={"views": version.views}))
    places = plan.row[plan.order]
    places = places[places >= 0]
    outcome, sha256, fingerprint = (
        texts(plan.rows.column(name))[places] for name in ("outcome", "sha256", "fingerprint")
    )
    standing = outcome == Outcome.OK.encode()
    standing[standing] = [
        before(digest.decode()).encode() == known
        for digest, known in zip(sha256[standing], fingerprint[standing], strict=True)
    ]
    return _Standing(plan.rows, places[standing])


def earlier_views(
    storage: Storage, place: Place | None, sha256: str, render: RenderSettings, scratch: Path
) -> EarlierViews:
    """The views of the sample at `place`, as files below `scratch`; none when it is no sound sample of these bytes."""
    if place is None:
        return NONE
    try:
        sample = read_sample(storage, *place)
        views = len(sample.extrinsics)
        sample.check(views=views, hw=render.hw)
        about, record = sample.facts["object"], sample.facts["render"]
        names = view_members(views, render.passes)
        if about.get("sha256") != sha256 or views >= render.views or not set(names) <= set(sample.members):
            return NONE
        found = EarlierViews(scratch / "earlier", record)
        if [view.view for view in found.views] != list(range(views)):
            return NONE
    except (Failure, KeyError, TypeError, AttributeError):
        return NONE  # all its views are rendered then
    found.folder.mkdir()
    for name in names:
        (found.folder / name).write_bytes(sample.members[name])
    return found
