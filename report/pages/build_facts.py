"""What the report of a build run shows: sums and samples, of a size that does not grow with the objects.

Every text may come from outside: it is escaped where it is shown. Times are Unix seconds, durations seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from report.images import Pixels


@dataclass(frozen=True)
class Pace:
    """How many attempts ended well and badly in one of the equal parts of a run, from `start` on."""

    start: float
    ok: int
    failed: int


@dataclass(frozen=True)
class PhaseFacts:
    """One phase of the work: its seconds over all attempts, the mean of those that had it, and the longest."""

    name: str
    total_s: float
    mean_s: float
    most_s: float


@dataclass(frozen=True)
class SlowObject:
    """One of the attempts that took longest, and the phase that took most of it."""

    uid: str
    title: str
    outcome: str
    seconds: float
    phase: str
    phase_s: float


@dataclass(frozen=True)
class FailedObject:
    """An example of a failure: what was said, and the end of what Blender printed."""

    uid: str
    title: str
    reason: str
    stderr_tail: str


@dataclass(frozen=True)
class FailureGroup:
    """All attempts that ended with one outcome in one phase, and some of them."""

    outcome: str
    phase: str
    count: int
    examples: tuple[FailedObject, ...]


@dataclass(frozen=True)
class MissingPictures:
    """An object that lacks pictures, their names, and how the object ended."""

    uid: str
    title: str
    outcome: str
    pictures: str


@dataclass(frozen=True)
class MachineFacts:
    """One machine of the run with one device: attempts, their seconds, and the most memory a child had."""

    host: str
    device: str
    attempts: int
    seconds: float
    peak_mb: float


@dataclass(frozen=True)
class SampleViews:
    """One object and its views, small, as uint8 RGBA."""

    uid: str
    title: str
    views: tuple[Pixels, ...]


@dataclass(frozen=True, kw_only=True)
class BuildFacts:
    """One run: the attempts it made, what it was to do, and pictures of what it did.

    `began` and `ended` are of its attempts, 0 when it made none; `worker_s` is what they took together. `outcomes`
    counts objects by their last attempt, and `faults` those with each fault of the data. `plan` and `settings` are as
    they were when the run began, or empty when that was not kept. `missing` says what could not be shown.
    """

    dataset: str
    run: str
    version: int
    began: float = 0.0
    ended: float = 0.0
    worker_s: float = 0.0
    attempts: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)
    faults: tuple[tuple[str, int], ...] = ()
    missing_pictures: tuple[MissingPictures, ...] = ()
    pace: tuple[Pace, ...] = ()
    pace_s: float = 1.0
    phases: tuple[PhaseFacts, ...] = ()
    slowest: tuple[SlowObject, ...] = ()
    failures: tuple[FailureGroup, ...] = ()
    machines: tuple[MachineFacts, ...] = ()
    machine_count: int = 0
    pictured: tuple[SampleViews, ...] = ()
    plan: tuple[str, ...] = ()
    settings: str = ""
    settings_digest: str = ""
    missing: tuple[str, ...] = ()

    @property
    def objects(self) -> int:
        """How many objects the run tried."""
        return sum(self.outcomes.values())

    @property
    def ok(self) -> int:
        """How many of them ended well."""
        return self.outcomes.get("ok", 0)

    @property
    def wall_s(self) -> float:
        """From the beginning of the first attempt to the end of the last."""
        return self.ended - self.began
