"""The objects of a dataset's version as items: a view of each is the picture, and its camera's elevation is known."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from base.digest import digest_json, sha256_bytes
from base.errors import UsageError
from base.outcomes import Outcome
from base.parallel import map_in_threads
from base.progress import Progress
from base.storage import Missing, Storage
from base.text import replace_surrogates
from pipeline.catalog.objects import SourceObject
from pipeline.fetch.fetch import FetchError
from shards.damage import DamagedSample
from shards.reader import read_sample
from shards.sample import Sample, view_suffix
from shards.version import SampleEntry, ShardEntry, Version, read_version

SOURCE = "dataset"
THREADS = 8
ADDRESS = re.compile(r"(.+?)(?:@([0-9]{1,9}))?", re.DOTALL)
STATED = ("licence", "author", "title", "page", "category")
"""What an object's sample says of it, for its row and the card of the new dataset."""
LONGEST_FACT = 4096


@dataclass(frozen=True, kw_only=True)
class DatasetViews:
    """View number `view` of each object of a version. Instead of a bad view, it is the next good view."""

    storage: Storage
    version: Version
    view: int

    @classmethod
    def find(cls, address: str, view: int) -> Self:
        """Find the version at `ROOT` (the newest) or `ROOT@VERSION`. Raises UsageError for a view it does not have."""
        found = ADDRESS.fullmatch(address)
        if found is None:
            raise UsageError("--dataset: expected ROOT or ROOT@VERSION, got nothing")
        root, number = found.groups()
        # Absolute, because Ray starts its workers in folders of their own.
        storage = Storage(root if "://" in root else Path(root).expanduser().absolute(), setting="--dataset")
        version = read_version(storage, int(number) if number else None)
        if not 0 <= view < version.views:
            raise UsageError(f"--view: expected 0 to {version.views - 1}, the views of {address}, got {view}")
        return cls(storage=storage, version=version, view=view)

    def items(self, progress: Progress) -> Iterator[SourceObject]:
        """Yield the objects as items of the same uid; without a digest if a sample is damaged."""
        samples = [(shard, entry) for shard in self.version.shards for entry in shard.samples]
        with progress.task("list", total=len(samples), unit="objects") as task:
            # Each sample is read: a shard written anew for another object has the same views under another name.
            for item in map_in_threads(lambda pair: self._item(*pair), samples, THREADS):
                yield item
                task.advance(1, note=item.title)

    def _item(self, shard: ShardEntry, entry: SampleEntry) -> SourceObject:
        where = {"dataset": self.storage.root, "shard": shard.name, "offset": entry.offset, "bytes": entry.bytes}
        item = SourceObject(
            uid=entry.uid,
            source=SOURCE,
            location=f"{self.storage.root}/{shard.name}",
            title=entry.uid,
            about=json.dumps({**where, "view": self.view}),
        )
        try:
            picture = _read_picture(self.storage, item)
        except (DamagedSample, Missing):
            return item  # the worker meets the same damage, and so this object ends
        about = {**where, "view": self.view, "elevation_deg": picture.elevation_deg}
        return replace(item, sha256=picture.sha256, about=json.dumps(about), **picture.stated)


@dataclass(frozen=True, kw_only=True)
class _Picture:
    """A view's file, the elevation of its camera in degrees, and what its sample states of the object."""

    data: bytes
    elevation_deg: float
    stated: dict[str, Any]

    @property
    def sha256(self) -> str:
        """The digest that a picture file of these bytes has in a list with this elevation."""
        return digest_json([sha256_bytes(self.data), {"elevation_deg": self.elevation_deg}], length=64)


def take_picture(item: SourceObject, folder: Path) -> tuple[Path, str]:
    """Write the view of an item into `folder`, and return its path and digest. Raises FetchError."""
    storage = Storage(str(json.loads(item.about)["dataset"]), setting="--dataset")
    try:
        picture = _read_picture(storage, item)
    except DamagedSample as damage:
        raise FetchError(Outcome.CORRUPT, str(damage)) from None
    except Missing as missing:
        raise FetchError(Outcome.MISSING, str(missing)) from None
    path = folder / f"{item.uid}.webp"
    path.write_bytes(picture.data)
    return path, picture.sha256


def _read_picture(storage: Storage, item: SourceObject) -> _Picture:
    """Read the view of an item. Raises DamagedSample."""
    about = json.loads(item.about)
    shard = ShardEntry(name=about["shard"], split="", number=0, bytes=0, sha256="", samples=())
    sample = read_sample(storage, shard, SampleEntry(item.uid, about["offset"], about["bytes"]))
    good = sample.good_views
    if not good:
        raise DamagedSample(shard.name, item.uid, ": expected a good view, got bad views alone")
    view = next((number for number in good if number >= about["view"]), good[0])
    sample.image(view)  # a damaged picture is said here, with its shard
    # Cameras of equal height may differ in their last bits.
    elevation = round(90.0 - float(np.rad2deg(sample.polar_rad[view])), 4)
    return _Picture(data=sample.members[view_suffix(view)], elevation_deg=elevation + 0.0, stated=_stated(sample))


def _stated(sample: Sample) -> dict[str, Any]:
    said: Any = sample.facts.get("object")
    facts = said if isinstance(said, dict) else {}
    texts = {name: replace_surrogates(str(facts.get(name, "")))[:LONGEST_FACT] for name in STATED}
    return {**texts, "title": texts["title"] or sample.uid}
