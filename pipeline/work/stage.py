"""A stage: what is made of each item of a dataset. All else is the same for every stage, and knows only this class.

The crew has workers call `do`. Files left in its folder wait in staging until `record` turns them into a sample of a
shard. `fingerprint` decides which items have it still to be done.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from base.outcomes import Outcome
from base.storage import Storage
from pipeline.catalog.objects import SourceObject
from pipeline.catalog.rows import SampleLocation
from report.wording import Wording


@dataclass(frozen=True, kw_only=True)
class ItemWork:
    """An item at work: its file at `path` with digest `sha256`, and an empty folder `out` for what is made of it.

    `earlier` locates a sample with its first views, in `storage`. Call `enter` with the name of each phase.
    """

    item: SourceObject
    path: Path
    sha256: str
    out: Path
    storage: Storage
    enter: Callable[[str], None]
    earlier: SampleLocation | None = None


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """How the work on an item ended: the columns of an attempt that only the stage knows."""

    outcome: Outcome
    reason: str = ""
    phase: str = ""
    checks: str = ""
    faults: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    views: int = 0
    peak_mb: float = 0.0
    device: str = ""
    walls: str = ""
    warnings: str = ""
    stderr_tail: str = ""


@dataclass(frozen=True)
class Stage(ABC):
    """A dataclass of settings. Heavy parts, such as a child process, start on first use and stay where they started."""

    @property
    @abstractmethod
    def wording(self) -> Wording:
        """The words for people."""

    @property
    @abstractmethod
    def rooms(self) -> tuple[str, ...]:
        """The folders of this project with the code that makes the bytes, beside those of every stage."""

    @property
    @abstractmethod
    def packages(self) -> tuple[str, ...]:
        """The packages that make the bytes."""

    @property
    @abstractmethod
    def suffixes(self) -> frozenset[str]:
        """The endings, such as `.glb`, of files that may be fetched."""

    @abstractmethod
    def fingerprint(self, sha256: str) -> str:
        """Return 16 digits of all that decides what is made of an item with this digest."""

    @abstractmethod
    def read(self, item: SourceObject, folder: Path) -> tuple[Path, str] | None:
        """Return the path and SHA-256 of an item that needs no fetching; None for an item to be fetched.

        An item that is part of another file is written into `folder`. Raises OSError, and FetchError.
        """

    @abstractmethod
    def do(self, work: ItemWork) -> StageResult:
        """Make the files of an item in `work.out`. A fault of the item is a result; Failure is the machine's."""

    @property
    def items_at_once(self) -> int:
        """How many items `do_together` should get."""
        return 1

    def do_together(self, works: Sequence[ItemWork]) -> list[StageResult]:
        """Do several items, where that is faster than to `do` each. A fault costs its item alone."""
        return [self.do(work) for work in works]

    @abstractmethod
    def record(self, folder: Path, facts: Mapping[str, str]) -> dict[str, bytes]:
        """Return the members of a sample, by suffix, from the folder of `do` and the facts about the object."""

    def with_views(self, views: int) -> Self | None:
        """Return this stage with another number of views, whose first views would be the same; None without such."""
        del views
        return None

    @property
    def leaves_out_missing(self) -> bool:
        """True if items with missing pictures are to be tried again, and end as `missing_pictures`."""
        return False

    @property
    def device(self) -> str:
        """The device of the work, for a forecast from earlier attempts."""
        return "auto"

    @abstractmethod
    def close(self) -> None:
        """End what the work has started."""

    def __getstate__(self) -> dict[str, Any]:
        # Only the settings travel to a worker: a child process cannot.
        return {item.name: getattr(self, item.name) for item in fields(self)}
