"""Extend a sample to more views: its views stay, byte for byte, and only further views are rendered."""

from pathlib import Path

from base.errors import Failure
from base.storage import Storage
from pipeline.catalog.rows import SampleLocation
from render.earlier import NO_EARLIER_VIEWS, EarlierViews
from render.settings import RenderSettings
from shards.reader import read_sample
from shards.sample import view_members


def copy_earlier_views(
    storage: Storage, location: SampleLocation | None, sha256: str, render: RenderSettings, scratch: Path
) -> EarlierViews:
    """Copy the views of a sample to files below `scratch`. Returns NONE unless it is a sound sample of these bytes."""
    if location is None:
        return NO_EARLIER_VIEWS
    try:
        sample = read_sample(storage, *location)
        views = len(sample.extrinsics)
        # Whole and sound: a damaged view would otherwise live on in every later version.
        sample.check(views=views, hw=render.hw)
        about, record = sample.facts["object"], sample.facts["render"]
        names = view_members(views, render.passes)
        if about.get("sha256") != sha256 or views >= render.views or not set(names) <= set(sample.members):
            return NO_EARLIER_VIEWS
        found = EarlierViews(scratch / "earlier", record)
        # Views are drawn by number, so a gap would repeat a camera.
        if [view.view for view in found.views] != list(range(views)):
            return NO_EARLIER_VIEWS
    except (Failure, KeyError, TypeError, AttributeError):
        return NO_EARLIER_VIEWS  # then all views are rendered
    found.folder.mkdir()
    for name in names:
        (found.folder / name).write_bytes(sample.members[name])
    return found
