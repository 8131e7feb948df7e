"""Objects for `zero123 inspect`: of a dataset, a shard, folders of rendered views, or a model's file."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from app.inspected_facts import inspected_object, inspected_views, sort_phases
from app.rendering import read_mark
from app.settings import Settings
from base.errors import Failure, UsageError
from base.outcomes import Outcome
from base.progress import Progress
from base.storage import Storage, write_atomically
from base.text import replace_surrogates
from base.versions import versions
from pipeline.catalog.objects import uid_of
from pipeline.catalog.rows import Attempt
from pipeline.catalog.tables import Catalog
from render.child import RenderChild
from render.formats.registry import CHECKS
from render.run import render_views
from render.settings import RenderSettings
from report.images import encode_image
from report.pages.object_page import InspectedObject, object_page
from report.pages.object_sheet import object_sheet
from shards.layouts import layout_of, read_views
from shards.reader import read_sample, read_shard
from shards.sample import Sample
from shards.tar import BadTar, read_members
from shards.version import UID, Version, read_version

MAX_SHARD_BYTES = 4 << 30
QUICK_HW = (192, 192)
"""A model's file is rendered at this size for a quick look."""


@dataclass(frozen=True)
class Inspection:
    """The shown objects, among `total`."""

    title: str
    objects: tuple[InspectedObject, ...]
    total: int


def inspect_target(target_name: str | Path, most: int, settings: Settings, progress: Progress) -> Inspection:
    """Read up to `most` objects at a path or of a dataset at a URL, or the object of a uid in the dataset.

    Raises UsageError for anything else, Failure for damaged data and for a model without views.
    """
    target = Path(target_name)
    if replace_surrogates(str(target_name)) != str(target_name):
        raise UsageError(f"{replace_surrogates(str(target_name))}: expected a name in UTF-8")
    # The order matters: a dataset is a folder too, and a uid may look like a name.
    if "://" in str(target_name) or (target / "versions").is_dir():
        return _dataset(Storage(target_name), target.name, most)
    if target.is_dir():
        return _folder(target, most)
    if target.suffix.lower() in CHECKS and target.is_file():
        return Inspection(target.name, (_render_small(target, settings.render, settings.run.seed, progress),), 1)
    if target.is_file() and target.suffix == ".tar":
        found = list(_shard_samples(target))
        return Inspection(target.name, tuple(inspected_object(sample) for sample in found[:most]), len(found))
    if not target.exists() and UID.fullmatch(str(target_name)):
        return _one_of_dataset(Storage(settings.storage.root), str(target_name))
    raise UsageError(f"{target}: expected {EXPECTED}")


EXPECTED = "a dataset's folder, a shard (.tar), a folder of rendered views, a model's file or an object's uid"


def write_inspection(found: Inspection, out: Path) -> None:
    """Write `inspect.html` and `inspect.png` into `out`."""
    page = object_page(found.title, found.objects, kicker="zero123 inspect", facts=versions())
    write_atomically(out / "inspect.html", page.encode())
    write_atomically(out / "inspect.png", encode_image(object_sheet(found.objects), "png"))


def _dataset(storage: Storage, name: str, most: int) -> Inspection:
    version = read_version(storage)
    total = sum(len(shard.samples) for shard in version.shards)
    samples = (sample for shard in version.shards for sample in read_shard(storage, shard))
    # Lazily: a dataset may have millions of objects, and only a few are shown.
    objects = tuple(inspected_object(sample) for sample in islice(samples, most))
    return Inspection(f"{name}, version {version.number}", _with_seconds(storage, objects), total)


def _one_of_dataset(storage: Storage, start: str) -> Inspection:
    """Find the object with the uid `start`, or the only object with a uid that begins so."""
    rows = Catalog(storage).objects()
    uids = [start] if start in rows else sorted(uid for uid in rows if uid.startswith(start))
    if len(uids) != 1:
        among = f"{len(uids)}: {', '.join(uids[:5])}" if uids else "none"
        raise UsageError(f"{start}: expected {EXPECTED}; of the objects in {storage.root} it is {among}")
    row = rows[uids[0]]
    sample = _sample(storage, read_version(storage), row.uid) if row.ok else None
    if sample is None:
        ended = " ".join(f"{row.outcome} {row.reason}".split())
        raise Failure(f"{row.uid}: expected an object with views in {storage.root}, got the outcome {ended}")
    (shown,) = _with_seconds(storage, (inspected_object(sample),))
    return Inspection(shown.title, (shown,), 1)


def _sample(storage: Storage, version: Version, uid: str) -> Sample | None:
    found = ((shard, entry) for shard in version.shards for entry in shard.samples if entry.uid == uid)
    location = next(found, None)
    return read_sample(storage, *location) if location is not None else None


def _with_seconds(storage: Storage, objects: tuple[InspectedObject, ...]) -> tuple[InspectedObject, ...]:
    """Add the seconds of the attempt behind an object's views, if the catalogue has it."""
    attempts = Catalog(storage).attempts([shown.uid for shown in objects])
    # Later attempts replace earlier ones, so the newest good one stays.
    made: dict[str, Attempt] = {row.uid: row for row in attempts if row.outcome == Outcome.OK}
    return tuple(
        replace(shown, seconds=sort_phases(made[shown.uid].seconds)) if shown.uid in made else shown
        for shown in objects
    )


def _folder(folder: Path, most: int) -> Inspection:
    """Read a folder of views, or a folder of such folders."""
    folders = [folder] if layout_of(folder) else sorted(path for path in folder.iterdir() if path.is_dir())
    folders = [path for path in folders if layout_of(path)]
    if not folders:
        raise UsageError(f"{folder}: expected {EXPECTED}")
    objects = tuple(_views(path) for path in folders[:most])
    return Inspection(folder.absolute().name, objects, len(folders))


def _views(folder: Path) -> InspectedObject:
    seconds = read_mark(folder).get("seconds")
    shown = inspected_views(folder.absolute().name, read_views(folder))
    if isinstance(seconds, dict) and all(type(value) is float for value in seconds.values()):
        return replace(shown, seconds=sort_phases(seconds))
    return shown


def _render_small(model: Path, settings: RenderSettings, seed: int, progress: Progress) -> InspectedObject:
    """Render a model's file small into a temporary folder, with the cameras of a build."""
    quick = settings.model_copy(update={"hw": QUICK_HW})
    progress.say(f"{model}: rendering {quick.views} small views for a quick look")
    with tempfile.TemporaryDirectory() as scratch, RenderChild(quick) as child:
        result = render_views(child, model, uid_of(model.stem, model.name), quick, seed, Path(scratch) / "views")
        if result.outcome is not Outcome.OK:
            raise Failure(f"{model}: {result.outcome}: {result.reason}")
        shown = inspected_views(model.stem, read_views(Path(scratch) / "views"))
    return replace(shown, seconds=result.seconds)


def _shard_samples(path: Path) -> Iterator[Sample]:
    """Read the samples of a shard without its version: members are grouped by the name before the first dot."""
    if path.stat().st_size > MAX_SHARD_BYTES:
        raise UsageError(f"{path}: expected a shard of at most {MAX_SHARD_BYTES >> 30} GiB")
    grouped: dict[str, dict[str, bytes]] = {}
    try:
        members = read_members(path.read_bytes())
    except BadTar as error:
        raise Failure(f"{path}: {error}") from None
    for name, data in members.items():
        uid, _, suffix = name.partition(".")
        grouped.setdefault(uid, {})[suffix] = data
    if not grouped:
        raise UsageError(f"{path}: expected a shard with samples, got an empty shard")
    yield from (Sample(path.name, uid, members) for uid, members in grouped.items())
