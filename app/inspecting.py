"""What `zero123 inspect` shows, found in a dataset, a shard, or a folder of rendered views."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image

from base.errors import Failure, UsageError
from base.storage import Storage, write_atomically
from base.versions import versions
from report.contact_sheet import contact_sheet
from report.images import encoded, over
from report.object_page import InspectedObject, object_page
from shards.read import read_shard
from shards.sample import Sample, members_from_views
from shards.tar import read_members
from shards.version import read_version

SHEET_CELL_PX = 128
MAX_SHARD_BYTES = 4 << 30
VIEW_FACTS = ("coverage", "touches_border", "blank")


@dataclass(frozen=True)
class Inspection:
    """The objects shown, of `total` that are there."""

    title: str
    objects: tuple[InspectedObject, ...]
    total: int


def inspected(place: str | Path, most: int) -> Inspection:
    """Up to `most` objects of what is at a path, or of a dataset at a URL. Raises UsageError for anything else."""
    target = Path(place)
    if "://" in str(place) or (target / "versions").is_dir():
        storage = Storage(place)
        version = read_version(storage)
        total = sum(len(shard.samples) for shard in version.shards)
        samples = (sample for shard in version.shards for sample in read_shard(storage, shard))
        return _inspection(f"{target.name}, version {version.number}", samples, total, most)
    if (target / "views.json").is_file():
        members = members_from_views(target, {"uid": target.name})
        return _inspection(target.name, iter([Sample(target.name, target.name, members)]), 1, most)
    if target.is_file() and target.suffix == ".tar":
        found = list(_shard_samples(target))
        return _inspection(target.name, iter(found), len(found), most)
    raise UsageError(f"{target}: expected a dataset's folder, a shard (.tar) or a folder of rendered views")


def write_inspection(found: Inspection, out: Path) -> None:
    """Write `inspect.html` and `inspect.png` into `out`."""
    page = object_page(found.title, found.objects, kicker="zero123 inspect", facts=versions())
    views = [over(view) for shown in found.objects for view in shown.views]
    columns = max(len(shown.views) for shown in found.objects)
    sheet = contact_sheet(views, columns=columns, cell_px=SHEET_CELL_PX)
    white = Image.new("RGBA", sheet.size, "white")
    white.alpha_composite(sheet)
    write_atomically(out / "inspect.html", page.encode())
    write_atomically(out / "inspect.png", encoded(white, "png"))


def _shard_samples(path: Path) -> Iterator[Sample]:
    """The samples of a lone shard, without the version that names it: members are grouped by what precedes the dot."""
    if path.stat().st_size > MAX_SHARD_BYTES:
        raise UsageError(f"{path}: expected a shard of at most {MAX_SHARD_BYTES >> 30} GiB")
    grouped: dict[str, dict[str, bytes]] = {}
    for name, data in read_members(path.read_bytes(), where=str(path)).items():
        uid, _, suffix = name.partition(".")
        grouped.setdefault(uid, {})[suffix] = data
    if not grouped:
        raise UsageError(f"{path}: expected a shard with samples, got an empty one")
    yield from (Sample(path.name, uid, members) for uid, members in grouped.items())


def _inspection(title: str, samples: Iterator[Sample], total: int, most: int) -> Inspection:
    return Inspection(title, tuple(_checked_object(sample) for sample in islice(samples, most)), total)


def _checked_object(sample: Sample) -> InspectedObject:
    try:
        return _object(sample)
    except (KeyError, TypeError, AttributeError) as error:
        raise Failure(f"{sample.shard}: {sample.uid}.json: expected facts of an object, got: {error}") from None


def _object(sample: Sample) -> InspectedObject:
    about, rendered = sample.facts["object"], sample.facts["render"]
    facts = {name: str(value) for name, value in about.items() if value and name not in ("uid", "title")}
    checks = {name.replace("_", " "): _words(value) for name, value in rendered.get("checks", {}).items()}
    per_view = {
        name.replace("_", " "): [_words(view.get(name, "")) for view in rendered.get("views", [])]
        for name in VIEW_FACTS
    }
    return InspectedObject(
        uid=sample.uid,
        title=about.get("title") or sample.uid,
        views=tuple(sample.image(view) for view in range(len(sample.extrinsics))),
        extrinsics=sample.extrinsics,
        facts={**facts, **checks},
        view_facts=per_view,
    )


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.1%}" if isinstance(value, float) else str(value)
