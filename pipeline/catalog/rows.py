"""The rows of the catalogue: the state of each object, and the record of each attempt."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from base.outcomes import Outcome
from pipeline.catalog.objects import SourceFacts
from shards.version import SampleEntry, ShardEntry

UNASSIGNED = -1
NO_LOCATION: dict[str, Any] = {
    "split": "",
    "shard_name": "",
    "shard_sha256": "",
    "shard_bytes": 0,
    "sample_offset": 0,
    "sample_bytes": 0,
}
"""The location columns of an object without a sample."""


SEEN_FAULTS = ("missing_pictures", "culled_faces", "merged_faces", "stray_faces", "other_frame", "frame")
"""Faults of the model's data in attempts and rows. Catalogues of earlier releases have no such columns.

`missing_pictures` names pictures, with `; ` between them; `other_frame` is 1 when `frame` is not the first frame.
"""


FOUND = (*SEEN_FAULTS, "mesh")
"""The columns that an item's row takes from its attempt, absent from catalogues of earlier releases."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildResult:
    """The facts found by builds about an object: its outcome, and the location of its sample if it has a sample.

    `shard` is −1 without a number. The fields from `split` on are empty or 0 unless `outcome` is ok. `checks` lists the
    views flagged by each check, also where flags are harmless. `mesh` is the SHA-256 of the mesh in `meshes/`, empty
    without one.
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
    mesh: str = ""
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
        """True if the object has a sample in a shard."""
        return self.outcome == Outcome.OK


@dataclass(frozen=True, kw_only=True)
class ObjectRow(SourceFacts, BuildResult):
    """The row of an object: its build result, and the facts from its source.

    Fields are collected from the last base to the first, so the columns of the result come first.
    """


RESULT_COLUMNS = tuple(item.name for item in fields(BuildResult))
SOURCE_COLUMNS = tuple(item.name for item in fields(SourceFacts))
"""The columns that come from the source, beside the uid."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """An attempt at an object. `seconds` is by phase, `at` in Unix seconds, `peak_mb` 0 if not measured.

    `views` counts the views made, without kept views; 0 if unknown, as in attempts of earlier releases.
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
    mesh: str = ""
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
        """Return the attempt as JSON bytes."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Attempt":
        """Parse an attempt from JSON bytes. Raises ValueError for anything else."""
        value = json.loads(data)
        if not isinstance(value, dict) or not set(value) <= {item.name for item in fields(cls)}:
            raise ValueError("expected an attempt")
        try:
            return cls(**value)
        except TypeError as error:
            raise ValueError(str(error)) from None


def device_text(device: str) -> str:
    """Return an attempt's device for people: `CPU, AMD EPYC` for `kind CPU, name AMD EPYC`."""
    return device.removeprefix("kind ").replace(", name ", ", ", 1)


SampleLocation = tuple[ShardEntry, SampleEntry]
"""The location of a sample: its shard's entry without the list of samples, and its own entry."""


def location_of(row: BuildResult) -> SampleLocation:
    """Return the location of the sample of an object with outcome ok."""
    shard = ShardEntry(row.shard_name, row.split, row.shard, row.shard_bytes, row.shard_sha256, ())
    return shard, SampleEntry(row.uid, row.sample_offset, row.sample_bytes)
