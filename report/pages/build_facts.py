"""Contents of the report of a build run: sums and samples, of a size independent of the number of objects.

Every text may come from outside, so pages escape it. Times are Unix seconds, durations seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from report.images import Pixels
from report.wording import BUILDING, Wording


@dataclass(frozen=True)
class Pace:
    """Counts of good and failed attempts in an interval of a run that begins at `start`."""

    start: float
    ok: int
    failed: int


@dataclass(frozen=True)
class PhaseFacts:
    """A phase of the work: seconds over all attempts, the mean of attempts with this phase, and the longest."""

    name: str
    total_s: float
    mean_s: float
    most_s: float


@dataclass(frozen=True)
class SlowObject:
    """A slow attempt, and its longest phase."""

    uid: str
    title: str
    outcome: str
    seconds: float
    phase: str
    phase_s: float


@dataclass(frozen=True)
class FailedObject:
    """An example of a failure: its reason, and the end of Blender's output."""

    uid: str
    title: str
    reason: str
    stderr_tail: str


@dataclass(frozen=True)
class FailureGroup:
    """All attempts with the same outcome in the same phase, and some examples."""

    outcome: str
    phase: str
    count: int
    examples: tuple[FailedObject, ...]


@dataclass(frozen=True)
class MissingPictures:
    """An object with missing pictures, their names, and its outcome."""

    uid: str
    title: str
    outcome: str
    pictures: str


@dataclass(frozen=True)
class MachineFacts:
    """A machine and device of the run: attempts, their seconds, and the peak memory of a child."""

    host: str
    device: str
    attempts: int
    seconds: float
    peak_mb: float


@dataclass(frozen=True)
class SampleViews:
    """An object and its small views, uint8 RGBA."""

    uid: str
    title: str
    views: tuple[Pixels, ...]


@dataclass(frozen=True, kw_only=True)
class BuildFacts:
    """A run: its attempts, its plan, and pictures of its views.

    `began` and `ended` are the times of its attempts, 0 without attempts; `worker_s` is their total duration.
    `outcomes` counts objects by their last attempt, `faults` by fault of the data. `plan` and `settings` are from the
    start of the run, or empty when they were not kept. `missing` names pictures that could not be shown.
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
    words: Wording = BUILDING

    @property
    def objects(self) -> int:
        """Number of objects in the run."""
        return sum(self.outcomes.values())

    @property
    def ok(self) -> int:
        """Number of objects that ended well."""
        return self.outcomes.get("ok", 0)

    @property
    def wall_s(self) -> float:
        """Seconds from the start of the first attempt to the end of the last."""
        return self.ended - self.began
