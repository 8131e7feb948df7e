"""The rows of the catalogue: what is known of each object, and what each attempt at one was like."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from base.outcomes import Outcome
from pipeline.catalog.objects import UNKNOWN
from shards.version import SampleEntry, ShardEntry

UNASSIGNED = -1
NOWHERE: dict[str, Any] = {
    "split": "",
    "shard_name": "",
    "shard_sha256": "",
    "shard_bytes": 0,
    "sample_offset": 0,
    "sample_bytes": 0,
}
"""What a row says of its place when the object stands in no shard."""


SEEN_FAULTS = ("missing_pictures", "culled_faces", "merged_faces", "stray_faces", "other_frame", "frame")
"""What an attempt and a row say of the model's data. Catalogues of earlier releases have no such columns.

`missing_pictures` names pictures, with `; ` between them; `other_frame` is 1 when `frame` is not the first one.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildResult:
    """What builds found out of an object: how it ended, and where its sample stands if it did well.

    `shard` is −1 without a number; the fields from `split` on are empty or 0 unless `outcome` is ok. `checks` says
    which check said yes of which views, also where that is no harm.
    """

    uid: str
    outcome: str = Outcome.PENDING.value
    reason: str = ""
    phase: str = ""
    checks: str = ""
    missing_pictures: str = ""
    culled_faces: int = 0
    merged_faces: int = 0
    stray_faces: int = 0
    other_frame: int = 0
    frame: float = 0.0
    attempts: int = 0
    sha256: str = ""
    fingerprint: str = ""
    facts_digest: str = ""
    shard: int = UNASSIGNED
    split: str = ""
    shard_name: str = ""
    shard_sha256: str = ""
    shard_bytes: int = 0
    sample_offset: int = 0
    sample_bytes: int = 0

    @property
    def ok(self) -> bool:
        """True when the object stands in a shard."""
        return self.outcome == Outcome.OK


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectRow(BuildResult):
    """One object ever asked for: what builds found out of it, and what its source says of it."""

    source: str
    location: str
    licence: str = ""
    author: str = ""
    title: str = ""
    page: str = ""
    category: str = ""
    tags: str = ""
    faces: int = UNKNOWN
    vertices: int = UNKNOWN
    animations: int = UNKNOWN
    likes: int = UNKNOWN


FOUND = tuple(item.name for item in fields(BuildResult))
STATED = tuple(item.name for item in fields(ObjectRow) if item.name not in FOUND)
"""What a row has from its source, beside the uid."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One attempt at one object. `seconds` is by phase, `at` in Unix seconds, `peak_mb` 0 when nobody measured it.

    `views` is how many views it made, without those that were kept; 0 when unknown, as of attempts of earlier releases.
    """

    attempt: str
    run: str
    uid: str
    outcome: str
    reason: str = ""
    phase: str = ""
    sha256: str = ""
    fingerprint: str = ""
    checks: str = ""
    missing_pictures: str = ""
    culled_faces: int = 0
    merged_faces: int = 0
    stray_faces: int = 0
    other_frame: int = 0
    frame: float = 0.0
    seconds: Mapping[str, float] = field(default_factory=dict)
    views: int = 0
    peak_mb: float = 0.0
    source_bytes: int = 0
    device: str = ""
    walls: str = ""
    host: str = ""
    at: float = 0.0
    warnings: str = ""
    stderr_tail: str = ""

    def to_json(self) -> bytes:
        """The attempt as JSON bytes."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Attempt":
        """The attempt in JSON bytes. Raises ValueError for anything else."""
        value = json.loads(data)
        if not isinstance(value, dict) or not set(value) <= {item.name for item in fields(cls)}:
            raise ValueError("expected an attempt")
        try:
            return cls(**value)
        except TypeError as error:
            raise ValueError(str(error)) from None


def device_text(device: str) -> str:
    """An attempt's device for people: `CPU, AMD EPYC` for `kind CPU, name AMD EPYC`."""
    return device.removeprefix("kind ").replace(", name ", ", ", 1)


SampleLocation = tuple[ShardEntry, SampleEntry]
"""Where a sample is: its shard's entry, without the shard's list of samples, and its own."""


def location_of(row: BuildResult) -> SampleLocation:
    """Return where the sample of an object with outcome ok is."""
    shard = ShardEntry(row.shard_name, row.split, row.shard, row.shard_bytes, row.shard_sha256, ())
    return shard, SampleEntry(row.uid, row.sample_offset, row.sample_bytes)
