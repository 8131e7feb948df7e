"""The work of a worker on an item, without Ray: fetch, do, stage the files, report the attempt; and pack."""

import secrets
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from base.errors import Failure
from base.outcomes import Outcome
from base.storage import Storage, error_path, reason
from pipeline.catalog.objects import SourceObject
from pipeline.catalog.rows import Attempt, SampleLocation
from pipeline.fetch.fetch import FetchError
from pipeline.fetch.limiter import Gate
from pipeline.settings import FetchSettings, ObjaverseSettings
from pipeline.work.item_files import ItemFiles
from pipeline.work.pack import PackJob, PackResult, pack
from pipeline.work.stage import ItemWork, Stage, StageResult
from pipeline.work.staging import stage, work_folder

OF_RESULT = tuple(item.name for item in fields(StageResult) if item.name not in ("faults", "seconds"))
FREE_BYTES = 64 << 20
"""With less free space a failure is blamed on the disk, not on the item."""


@dataclass(frozen=True)
class WorkerSpec:
    """The constant inputs of a worker: the dataset's location, the stage, and how files are fetched.

    Only the address `hub` may see the token. A worker takes the token from its own environment.
    """

    run: str
    root: str
    stage: Stage
    fetch: FetchSettings
    objaverse: ObjaverseSettings
    hub: str


@dataclass(frozen=True)
class ItemJob:
    """An item to be done. `earlier` locates a sample with its first views."""

    item: SourceObject
    earlier: SampleLocation | None = None

    @property
    def name(self) -> str:
        """The name of the job in messages."""
        return self.item.uid


Job = ItemJob | PackJob


class Worker:
    """A worker with a stage of its own. Requests to servers pass the `gate`.

    `phase` is the present phase, empty between jobs. Any thread may read it.
    """

    def __init__(self, spec: WorkerSpec, gate: Gate) -> None:
        self.spec, self.storage, self.stage = spec, Storage(spec.root), spec.stage
        self.files = ItemFiles(spec.stage, spec.fetch, spec.objaverse, spec.hub, gate)
        self.phase = ""

    def do(self, job: Job) -> Attempt | PackResult:
        """Do an item or pack. An item's failure is part of the answer; a failure of the machine raises Failure."""
        if isinstance(job, ItemJob):
            return self.do_together([job])[0]
        with self._working("pack"):
            return pack(self.storage, job, self.stage.record)

    def do_together(self, jobs: Sequence[ItemJob]) -> list[Attempt]:
        """Do items, together where the stage can. Returns an attempt for each, in order; raises as `do`."""
        with self._working("fetch"), ExitStack() as folders:
            begun = [self._begin(job, folders.enter_context(work_folder(self.storage))) for job in jobs]
            works = [one.work for one in begun if one.work is not None]
            results = iter(self.stage.do_together(works) if len(works) > 1 else map(self.stage.do, works))
            return [self._end(one, next(results) if one.refused is None else one.refused) for one in begun]

    def close(self) -> None:
        """End what the stage has started."""
        self.stage.close()

    def _enter(self, phase: str) -> None:
        self.phase = phase

    @contextmanager
    def _working(self, phase: str) -> Iterator[None]:
        self._enter(phase)
        try:
            yield
        except OSError as error:
            raise Failure(f"{error_path(error) or self.spec.root}: {reason(error)}") from error
        finally:
            self._enter("")

    def _begin(self, job: ItemJob, folder: Path) -> "_BegunItem":
        """Provide the item's file. The work begins in an empty folder below `folder`."""
        item, at, began = job.item, time.time(), time.monotonic()
        try:
            path, sha256 = self.files.provide(item, folder)
        except FetchError as error:
            refused = StageResult(outcome=error.outcome, reason=error.reason, phase="fetch")
            return _BegunItem(item, folder, item.sha256, at, time.monotonic() - began, refused=refused)
        out = folder / "views"
        out.mkdir()
        work = ItemWork(
            item=item,
            path=path,
            sha256=sha256,
            out=out,
            storage=self.storage,
            enter=self._enter,
            earlier=job.earlier,
        )
        return _BegunItem(item, folder, sha256, at, time.monotonic() - began, work=work)

    def _end(self, begun: "_BegunItem", result: StageResult) -> Attempt:
        """Stage what was made, and report the attempt."""
        ended: dict[str, Any] = {name: getattr(result, name) for name in OF_RESULT}
        work, sha256 = begun.work, begun.sha256
        attempt = Attempt(
            attempt=secrets.token_hex(8),
            run=self.spec.run,
            uid=begun.item.uid,
            at=begun.at,
            **result.faults,
            **ended,
            sha256=sha256,
            fingerprint=self.stage.fingerprint(sha256) if sha256 else "",
            seconds={"fetch": begun.fetch_s, **result.seconds},
            source_bytes=_size(work.path) if work is not None else 0,
            host=socket.gethostname(),
        )
        if work is not None and attempt.outcome == Outcome.OK:
            self._enter("stage")
            stage(self.storage, work.out, attempt)
        # A full disk fails every item, and recorded failures are not tried again.
        elif work is not None and shutil.disk_usage(begun.folder).free < FREE_BYTES:
            raise Failure(f"{begun.folder.parent}: the disk is full; free some space and run the same command again")
        return attempt


@dataclass(frozen=True)
class _BegunItem:
    """An item with its file: the `work` for the stage, or what the item is `refused` with."""

    item: SourceObject
    folder: Path
    sha256: str
    at: float
    fetch_s: float
    work: ItemWork | None = None
    refused: StageResult | None = None


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.iterdir()) if path.is_dir() else path.stat().st_size
