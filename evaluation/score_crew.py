"""Score objects on the crew that builds datasets, on a local Ray or a cluster.

Each object is an item of a `ScoreStage`. Its rows wait in `staging/` until this process moves them into `rows/`, so a
kill at any moment loses no finished object. Attempts are in the table `catalog/attempts`, and a lease keeps a second
command away.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from base.errors import Failure
from base.outcomes import Outcome
from base.storage import Storage, write_atomically
from evaluation.results import ObjectResult, read_result
from evaluation.score_stage import ROWS, ScoreStage
from evaluation.scoring import ScoringJob
from pipeline.catalog.lease import Lease
from pipeline.catalog.objects import SourceObject
from pipeline.catalog.rows import Attempt
from pipeline.catalog.tables import Catalog
from pipeline.cluster import Crew, FinishedJob
from pipeline.report.messages import BuildMessages
from pipeline.run import RECORD_EVERY_S, lost_attempt
from pipeline.settings import FetchSettings, ObjaverseSettings, RunSettings
from pipeline.sources.hub import endpoint
from pipeline.update import run_name
from pipeline.work.staging import FOLDER, clear_work, staged_attempts, staged_folder
from pipeline.work.worker import ItemJob, Worker, WorkerSpec

LOST = "expected a figure, but its worker or node was lost too often"


@dataclass(frozen=True)
class CrewSettings:
    """The settings of a crew. No object is fetched, but every worker has settings for it."""

    run: RunSettings
    fetch: FetchSettings
    objaverse: ObjaverseSettings


def score_on_crew(
    job: ScoringJob, uids: Sequence[str], settings: CrewSettings, messages: BuildMessages
) -> Iterator[ObjectResult]:
    """Yield the results of objects as they are measured, and keep each in `job.rows`.

    An object whose workers are lost too often counts as failed. This result is not kept, so the same command tries
    again. Raises Failure for a fault of a machine, and when another command scores into the same folder.
    """
    work = _CrewWork(job)
    spec = WorkerSpec(work.run, work.storage.root, work.stage, settings.fetch, settings.objaverse, endpoint())
    with Lease(work.storage, settings.run.lease_s) as lease:
        # Work folders are those of a dead command: the lease says that no other is alive.
        clear_work(work.storage)
        missing = {uid: work.item(uid) for uid in uids}
        for kept in work.take_staged(missing):
            del missing[kept.uid]
            yield kept
        if not missing:
            return
        try:
            with Crew(settings.run, spec, Worker, lease.holder.token) as crew:
                crew.replace_builders(lease.holder.followed)
                for item in missing.values():
                    crew.submit(ItemJob(item))
                for done in crew.results():
                    lease.check()
                    messages.report_waiting(crew)
                    if done is not None and (result := work.end(done, crew)):
                        yield result
                    work.record(if_due=True)
        finally:
            work.record()
        work.storage.remove(FOLDER)


@dataclass
class _CrewWork:
    """The work on a job, and its attempts that the catalogue does not have yet."""

    job: ScoringJob
    run: str = field(default_factory=run_name)
    _attempts: list[Attempt] = field(default_factory=list)
    _recorded_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.storage, self.stage = Storage(self.job.rows.parent.absolute()), ScoreStage(self.job.sendable())
        self.catalog = Catalog(self.storage)

    def item(self, uid: str) -> SourceObject:
        """Return an object as an item of the stage."""
        return SourceObject(uid=uid, source="benchmark", location=str(self.job.data.absolute()), title=uid)

    def take_staged(self, missing: dict[str, SourceObject]) -> list[ObjectResult]:
        """Keep the results that a killed command has left, if their inputs are still the same."""
        staged = staged_attempts(self.storage).values()
        known = self.catalog.recorded_attempts([attempt.attempt for attempt in staged])
        self._attempts += [attempt for attempt in staged if attempt.attempt not in known]
        same = [one for one in staged if one.uid in missing and one.fingerprint == self.stage.digest(one.uid)]
        found = [result for attempt in same if (result := self._keep(missing[attempt.uid], attempt)).fingerprint]
        self.record()
        self.storage.remove(FOLDER)
        return found

    def end(self, done: FinishedJob, crew: Crew) -> ObjectResult | None:
        """Return the result of an object; None while it is tried in another way."""
        if not isinstance(done.job, ItemJob):
            raise Failure(f"expected an object, got {done.job.name}")
        item = done.job.item
        if isinstance(done.answer, Attempt):
            self._attempts.append(done.answer)
            if done.answer.outcome == Outcome.OK:
                return self._keep(item, done.answer)
            # The files of an object are damaged or missing in its rows; unreadable ones are the machine's fault.
            raise Failure(f"{item.uid}: {done.answer.reason}")
        self._attempts.append(lost_attempt(item.uid, self.run))
        if item.about:
            return ObjectResult(item.uid, "", "unusable", LOST, ())
        # In a worker, too: the truth may be at fault.
        crew.submit(ItemJob(replace(item, about=LOST)))
        return None

    def record(self, *, if_due: bool = False) -> None:
        """Append the attempts to the catalogue; `if_due` does so only every few seconds."""
        if if_due and time.monotonic() - self._recorded_at < RECORD_EVERY_S:
            return
        self.catalog.record(self._attempts)
        self._attempts, self._recorded_at = [], time.monotonic()

    def _keep(self, item: SourceObject, attempt: Attempt) -> ObjectResult:
        """Move the rows of an object from staging into the folder of rows."""
        with staged_folder(self.storage, attempt.uid, attempt.fingerprint) as folder:
            data = self.stage.record(folder, item.facts(attempt.sha256))[ROWS]
            result = read_result(folder, attempt.uid)
        if result is None:
            raise Failure(f"{attempt.uid}: expected rows in {FOLDER}, got a damaged file; run the same command again")
        # Rows without a fingerprint are what a lost object counts for.
        if result.fingerprint:
            write_atomically(self.job.rows / f"{item.uid}.json", data)
        return result
