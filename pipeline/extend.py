"""A larger number of views: what an object's sample has stays, byte for byte; only the views after it are made."""

from collections.abc import Callable, Mapping
from pathlib import Path

from base.errors import Failure
from base.storage import Storage
from pipeline.plan import Plan
from pipeline.rows import ObjectRow
from render.earlier import NONE, EarlierViews
from render.settings import RenderSettings
from shards.read import read_sample
from shards.sample import view_members
from shards.version import SampleEntry, ShardEntry, Version

Place = tuple[ShardEntry, SampleEntry]
"""Where a sample stands; the shard's entry is without its list of samples."""


def place_of(row: ObjectRow) -> Place:
    """Where the sample of an object that ended well stands."""
    shard = ShardEntry(row.shard_name, row.split, row.shard, row.shard_bytes, row.shard_sha256, ())
    return shard, SampleEntry(row.uid, row.sample_offset, row.sample_bytes)


def fewer_views(
    plan: Plan, rows: Mapping[str, ObjectRow], version: Version | None, render: RenderSettings,
    fingerprint: Callable[[str, RenderSettings], str],
) -> dict[str, Place]:  # fmt: skip
    """The samples of objects to be rendered that differ from what is asked for by having fewer views, by uid.

    `fingerprint` is of an object's sha256 and view settings.
    """
    if version is None or version.views >= render.views:
        return {}
    before = render.model_copy(update={"views": version.views})
    standing = (rows[uid] for uid in plan.render if uid in rows and rows[uid].ok)
    return {row.uid: place_of(row) for row in standing if row.fingerprint == fingerprint(row.sha256, before)}


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
