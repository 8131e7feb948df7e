"""The work of a worker on an item, without Ray: fetch, do, stage the files, report the attempt; and pack."""

import secrets
import shutil
import socket
import time
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
        try:
            self._enter("pack" if isinstance(job, PackJob) else "fetch")
            return pack(self.storage, job, self.stage.record) if isinstance(job, PackJob) else self._attempt(job)
        except OSError as error:
            raise Failure(f"{error_path(error) or self.spec.root}: {reason(error)}") from error
        finally:
            self._enter("")

    def close(self) -> None:
        """End what the stage has started."""
        self.stage.close()

    def _enter(self, phase: str) -> None:
        self.phase = phase

    def _attempt(self, job: ItemJob) -> Attempt:
        item, seconds = job.item, dict[str, float]()
        identity: dict[str, Any] = {
            "attempt": secrets.token_hex(8),
            "run": self.spec.run,
            "uid": item.uid,
            "at": time.time(),
        }
        with work_folder(self.storage) as folder:
            began = time.monotonic()
            try:
                path, sha256 = self.files.provide(item, folder)
            except FetchError as error:
                path, sha256 = None, item.sha256
                result = StageResult(outcome=error.outcome, reason=error.reason, phase="fetch")
            finally:
                seconds["fetch"] = time.monotonic() - began
            out = folder / "views"
            if path is not None:
                out.mkdir()
                result = self._do(job, path, sha256, out)
            ended: dict[str, Any] = {name: getattr(result, name) for name in OF_RESULT}
            attempt = Attempt(
                **identity,
                **result.faults,
                **ended,
                sha256=sha256,
                fingerprint=self.stage.fingerprint(sha256) if sha256 else "",
                seconds={**seconds, **result.seconds},
                source_bytes=_size(path) if path is not None else 0,
                host=socket.gethostname(),
            )
            if attempt.outcome == Outcome.OK:
                self._enter("stage")
                stage(self.storage, out, attempt)
            # A full disk fails every item, and recorded failures are not tried again.
            elif path is not None and shutil.disk_usage(folder).free < FREE_BYTES:
                raise Failure(f"{folder.parent}: the disk is full; free some space and run the same command again")
            return attempt

    def _do(self, job: ItemJob, path: Path, sha256: str, out: Path) -> StageResult:
        work = ItemWork(
            item=job.item,
            path=path,
            sha256=sha256,
            out=out,
            storage=self.storage,
            enter=self._enter,
            earlier=job.earlier,
        )
        return self.stage.do(work)


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.iterdir()) if path.is_dir() else path.stat().st_size
