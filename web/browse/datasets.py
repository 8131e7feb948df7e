"""A dataset to look at: its catalogue by pages of objects, and the views of an object."""

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np

from base.errors import Failure
from base.outcomes import Outcome
from base.storage import Storage
from geometry.camera import camera_centre
from geometry.sphere import spherical_from_cartesian
from pipeline.catalog.rows import device_text
from pipeline.catalog.tables import ATTEMPTS, OBJECTS, Catalog, sql_list
from shards.damage import DamagedSample
from shards.reader import read_sample
from shards.sample import Sample
from shards.version import MAX_BYTES, SHARD_NAME, UID, SampleEntry, ShardEntry, version_numbers
from web.browse.files import DECODING, picture_bytes
from web.browse.schemas import AttemptAnswer, CameraAnswer, DatasetAnswer, ObjectAnswer, ObjectsAnswer, RowAnswer
from web.browse.words import clean
from web.errors import Refused, unknown

LISTED = ("uid", "outcome", "reason", "phase", "licence", "author", "title", "category", "split", "page", "source")
PLACED = ("shard_name", "shard", "shard_sha256", "shard_bytes", "sample_offset", "sample_bytes", "location", "checks")
COUNTS = ("faces", "vertices", "animations")
MOST_GROUPS = 40
MAX_SAMPLE_BYTES, KEPT_BYTES, KEPT_SAMPLES = 256 << 20, 16 << 20, 16
"""Larger samples are not read; samples below `KEPT_BYTES` stay in memory, as a page asks for each of their views."""
WEB_ADDRESS = re.compile(r"https?://[^\s\"'<>]+")


@dataclass(frozen=True)
class Filter:
    """Which objects to list: with an outcome, with a licence, with `find` in uid or title; empty for any."""

    outcome: str = ""
    licence: str | None = None
    find: str = ""

    def condition(self) -> str:
        """Return the condition in SQL."""
        parts = ["true"]
        if self.outcome:
            parts.append(f"outcome = {sql_list([self.outcome])}")
        if self.licence is not None:
            parts.append(f"licence = {sql_list([self.licence])}")
        if self.find:
            text = sql_list([self.find.lower()])
            parts.append(f"(strpos(lower(uid), {text}) > 0 or strpos(lower(title), {text}) > 0)")
        return " and ".join(parts)


class BrowsedDataset:
    """A dataset of the shelf. Every method raises Failure for a damaged dataset."""

    def __init__(self, name: str, root: str) -> None:
        self.name, self.root = name, root
        self._kept: OrderedDict[tuple[str, str, int], Sample] = OrderedDict()
        self._lock = Lock()

    def about(self) -> DatasetAnswer:
        """Tell the newest version, and count the objects by outcome, licence and split."""
        storage = Storage(self.root)
        catalog, numbers = Catalog(storage), version_numbers(storage)
        facts = catalog.facts(numbers[-1]) if numbers else None
        return DatasetAnswer(
            name=self.name,
            version=numbers[-1] if numbers else 0,
            views=facts.views if facts else 0,
            hw=facts.hw if facts else (0, 0),
            outcomes=_groups(catalog, "outcome"),
            licences=_groups(catalog, "licence"),
            splits=_groups(catalog, "split", "outcome = 'ok'"),
        )

    def page(self, asked: Filter, after: str, most: int) -> ObjectsAnswer:
        """List up to `most` objects by uid, those after the uid `after`; the first page counts all of them."""
        catalog, condition = Catalog(Storage(self.root)), asked.condition()
        query = f"select {', '.join((*LISTED, 'location'))} from rows where {condition} and uid > {sql_list([after])}"  # noqa: S608
        rows = catalog.select(OBJECTS, f"{query} order by uid limit {most + 1}")
        counted = "" if after else f"select count(*) as n from rows where {condition}"  # noqa: S608
        total = catalog.select(OBJECTS, counted)[0]["n"] if counted and rows else 0
        return ObjectsAnswer(
            objects=[self._row(row) for row in rows[:most]],
            next=rows[most - 1]["uid"] if len(rows) > most else "",
            total=None if after else total,
        )

    def show(self, uid: str) -> ObjectAnswer:
        """Tell what is known of an object, and of the attempts at it."""
        row, catalog = self._find(uid), Catalog(Storage(self.root))
        columns = "outcome, reason, phase, seconds, views, device, at"
        tried = catalog.select(ATTEMPTS, f"select {columns} from rows where uid = {sql_list([uid])} order by at")  # noqa: S608
        facts = {name: str(row[name]) for name in COUNTS if isinstance(row[name], int) and row[name] >= 0}
        facts |= {name: clean(row[name], *self._hidden(row)) for name in ("checks", "phase") if row[name]}
        cameras: list[CameraAnswer] = []
        if row["outcome"] == Outcome.OK:
            try:
                cameras = self._cameras(row)
            except DamagedSample as error:
                facts["views"] = clean(f"damaged: {error}", *self._hidden(row))
        return ObjectAnswer(
            **self._row(row).model_dump(),
            facts=facts,
            cameras=cameras,
            attempts=[self._attempt(one, row) for one in tried],
        )

    def view(self, uid: str, view: int, longest_px: int) -> bytes:
        """Return a view as WebP. Raises Refused (404) for an object without such a view."""
        sample = self._sample(self._find(uid))
        if not 0 <= view < len(sample.extrinsics):
            raise unknown("view")
        with DECODING:
            return picture_bytes(sample.image(view), longest_px)

    def _find(self, uid: str) -> dict[str, Any]:
        if not UID.fullmatch(uid):
            raise unknown("object")
        columns = ", ".join((*LISTED, *PLACED, *COUNTS))
        query = f"select {columns} from rows where uid = {sql_list([uid])}"  # noqa: S608
        rows = Catalog(Storage(self.root)).select(OBJECTS, query)
        if not rows:
            raise unknown("object")
        return rows[0]

    def _sample(self, row: Mapping[str, Any]) -> Sample:
        if row["outcome"] != Outcome.OK:
            raise unknown("view")
        if not SHARD_NAME.fullmatch(row["shard_name"]) or not 0 <= row["sample_offset"] <= MAX_BYTES:
            raise Failure(f"{self.root}: {row['uid']}: expected a location in a shard, got {row['shard_name']!r}")
        if not 0 < row["sample_bytes"] <= MAX_SAMPLE_BYTES:
            raise Refused(422, f"expected an object of at most {MAX_SAMPLE_BYTES >> 20} MiB, got another size")
        key = (row["uid"], row["shard_name"], row["sample_offset"])
        with self._lock:
            if key in self._kept:
                return self._kept[key]
        entry = SampleEntry(row["uid"], row["sample_offset"], row["sample_bytes"])
        shard = ShardEntry(
            row["shard_name"], row["split"], row["shard"], row["shard_bytes"], row["shard_sha256"], (entry,)
        )
        sample = read_sample(Storage(self.root), shard, entry)
        with self._lock:
            if entry.bytes <= KEPT_BYTES:
                self._kept[key] = sample
            while len(self._kept) > KEPT_SAMPLES:
                self._kept.popitem(last=False)
        return sample

    def _cameras(self, row: Mapping[str, Any]) -> list[CameraAnswer]:
        sample = self._sample(row)
        polar, azimuth, radius = spherical_from_cartesian(camera_centre(sample.extrinsics))
        if not np.isfinite([polar, azimuth, radius]).all():
            raise Failure(f"{self.root}: {row['uid']}: expected cameras of numbers, got others")
        url = f"/api/browse/datasets/{self.name}/objects/{row['uid']}/views"
        return [
            CameraAnswer(
                url=f"{url}/{view}.webp",
                elevation_deg=round(90.0 - float(np.degrees(polar[view])), 1),
                azimuth_deg=round(float(np.degrees(azimuth[view])), 1),
                radius=round(float(radius[view]), 3),
            )
            for view in range(len(sample.extrinsics))
        ]

    def _row(self, row: Mapping[str, Any]) -> RowAnswer:
        hidden = self._hidden(row)
        url = f"/api/browse/datasets/{self.name}/objects/{row['uid']}"
        page = str(row["page"])
        return RowAnswer(
            **{name: clean(row[name], *hidden) for name in LISTED if name not in ("page", "phase")},
            url=url,
            page=clean(page) if WEB_ADDRESS.fullmatch(page) else "",
            picture=f"{url}/views/0.webp" if row["outcome"] == Outcome.OK else "",
        )

    def _attempt(self, tried: Mapping[str, Any], row: Mapping[str, Any]) -> AttemptAnswer:
        seconds = tried["seconds"] or {}
        pairs = seconds.items() if isinstance(seconds, dict) else seconds
        return AttemptAnswer(
            outcome=clean(tried["outcome"]),
            reason=clean(tried["reason"], *self._hidden(row)),
            phase=clean(tried["phase"]),
            seconds=round(sum(float(value) for _, value in pairs), 2),
            views=int(tried["views"] or 0),
            device=clean(device_text(tried["device"] or "")),
            at=float(tried["at"]),
        )

    def _hidden(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the paths in texts about an object: of its file and of the dataset."""
        location = str(row["location"])
        return (location, location.rpartition("/")[0], self.root)


def _groups(catalog: Catalog, column: str, where: str = "true") -> dict[str, int]:
    counts = catalog.counts(column, where)
    return {clean(said): count for said, count in [*counts.items()][:MOST_GROUPS]}
