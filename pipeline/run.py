"""The working part of a build: give jobs to the crew, record answers in the ledger, publish versions."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from base.errors import Failure
from base.interrupts import delay_signals
from base.outcomes import CHILD_DEATHS, Outcome
from base.progress import Progress
from base.storage import Storage
from pipeline.catalog.lease import Lease
from pipeline.catalog.memory import release_memory
from pipeline.catalog.objects import SourceObject
from pipeline.catalog.rows import Attempt, SampleLocation
from pipeline.catalog.tables import Catalog, VersionFacts
from pipeline.cluster import Crew, FinishedJob
from pipeline.cluster.actor import RunnerFactory
from pipeline.dataset.card import refresh_card
from pipeline.ledger import Ledger
from pipeline.report.messages import BuildMessages, describe_empty_version
from pipeline.report.reports import write_report
from pipeline.settings import RunSettings
from pipeline.work.pack import PackJob, PackResult
from pipeline.work.staging import FOLDER
from pipeline.work.worker import ItemJob, WorkerSpec
from report.wording import Wording
from shards.version import Version

RECORD_EVERY_S = 2.0
ITEMS_AHEAD, PACKS_AHEAD = 8192, 16
"""The objects and shards queued for the crew at most: several times what a large crew has in flight."""
PACK_FOR_S = 10.0
"""A stopped build may go on packing for this long, so it ends within half a minute in any case."""


class DamagedShard(Exception):
    """A shard of a former version has changed bytes, so its samples cannot be reused."""

    def __init__(self, shard: str) -> None:
        super().__init__(shard)
        self.shard = shard


@dataclass
class Run:
    """A build at work. `earlier` locates samples with the first views of objects to render, by uid. `version` is the
    newest version of this run."""

    name: str
    storage: Storage
    catalog: Catalog
    lease: Lease
    ledger: Ledger
    settings: RunSettings
    facts: VersionFacts
    progress: Progress
    may_publish_early: bool
    earlier: Mapping[str, SampleLocation] = field(default_factory=dict)
    version: Version | None = None
    _to_render: Iterator[SourceObject] = field(default_factory=lambda: iter(()))
    _unrecorded: list[Attempt] = field(default_factory=list)
    _recorded_at: float = field(default_factory=time.monotonic)
    _published: int = 0
    _published_at: float = field(default_factory=time.monotonic)

    def work(self, spec: WorkerSpec, make: RunnerFactory) -> None:
        """Render and pack everything in the plan. `make` makes the job runner of a worker.

        Raises Failure for a fault of every object, DamagedShard for samples to be rendered instead, and
        KeyboardInterrupt when stopped.

        In every case finished views stay in staging and attempts are recorded. After KeyboardInterrupt a few seconds
        are spent on packing, and a version is made of the packed shards.
        """
        plan = self.ledger.plan
        try:
            with Crew(self.settings, spec, make, self.lease.holder.token) as crew:
                crew.replace_builders(self.lease.holder.followed)
                self._to_render = plan.to_render()
                try:
                    self._run_jobs(crew, len(plan.order) * self.facts.views)
                except KeyboardInterrupt:
                    self._wind_up(crew)
                    raise
        # Whatever happened, an attempt is a fact. Without the record a child's death would be forgotten and repeated.
        finally:
            self.catalog.record(self._unrecorded)
            self._unrecorded = []

    def publish(self, *, final: bool) -> None:
        """Make a version of the packed shards.

        Raises Failure when another builder took over meanwhile, and when the version would hold no object: readers of
        the newest version then keep the previous version.
        """
        # The last moment to see that another builder took over: after the commit its readers would see our rows.
        self.lease.check()
        changes = self.ledger.collect_changes(final=final)
        if final and not self.ledger.has_samples:
            raise Failure(describe_empty_version(changes.apply_to(self.catalog.rows())))
        if changes:
            self.catalog.commit(changes, self.facts)
            # At once: after a Failure of the next lines the same rows would be committed a second time.
            self.ledger.mark_committed()
            # Tables of a million rows: without this, they and the version made from them are in memory together.
            del changes
            release_memory()
            self.version = self.catalog.newest()
            refresh_card(self.storage, self.version)
            release_memory()
        self._published, self._published_at = len(self.ledger.packed), time.monotonic()
        # At the end all views in staging are packed, or their fingerprints are no longer asked for.
        if final:
            self.storage.remove(FOLDER)
        else:
            self.report()

    def report(self) -> None:
        """Write the report of the run so far. A failure to write it is reported and does not stop the build."""
        # The report belongs to the other builder now.
        if self.lease.lost:
            return
        try:
            write_report(self.storage, self.name)
        except Failure as failure:
            self.progress.say(f"the report was not written: {failure}")

    def _run_jobs(self, crew: Crew, views: int) -> None:
        with self.progress.task(self.words.do, total=views, unit="views") as task:
            messages = BuildMessages(self.progress, task)
            self._feed(crew)
            for done in crew.results():
                # A signal after a commit and before the ledger's note of it would set them at odds.
                with delay_signals():
                    self._tick(done, crew, messages)
                    self._feed(crew)

    def _wind_up(self, crew: Crew) -> None:
        """After a stop signal: pack complete numbers for a few seconds, and make a version of them."""
        kept = self.ledger.rendered + len(self.ledger.plan.staged)
        self.progress.say(
            f"stopping: running {self.words.do}s are abandoned, {kept} {self.words.done} {self.words.item}s are kept"
        )
        # Packing continues: it takes moments, and its input is whole.
        crew.give_up_items()
        until = time.monotonic() + PACK_FOR_S
        try:
            for done in crew.results():
                if done is not None:
                    self._record_packed(done)
                # After the record: an answer already here is never thrown away.
                if time.monotonic() > until:
                    break
            with delay_signals():
                if self._has_news:
                    self.publish(final=False)
        except Failure as failure:
            self.progress.say(f"no version was made of the packed shards: {failure}")

    @property
    def words(self) -> Wording:
        """The words for people."""
        return self.ledger.rules.wording

    @property
    def _has_news(self) -> bool:
        """True when a version can be made of new shards before the end."""
        return self.may_publish_early and len(self.ledger.packed) > self._published and self.ledger.has_samples

    def _tick(self, done: FinishedJob | None, crew: Crew, messages: BuildMessages) -> None:
        self.lease.check()
        if done is not None:
            if isinstance(done.job, PackJob):
                self._record_packed(done)
            else:
                self._record_rendered(done, done.job, crew, messages)
        messages.report_waiting(crew)
        now = time.monotonic()
        if now - self._recorded_at >= RECORD_EVERY_S:
            self.catalog.record(self._unrecorded)
            self._unrecorded, self._recorded_at = [], now
        if self._has_news and now - self._published_at >= self.settings.version_every_s:
            self.publish(final=False)

    def _record_packed(self, done: FinishedJob) -> None:
        if not isinstance(done.answer, PackResult):
            raise Failure("shards could not be packed: the machines of the workers failed too often")
        if done.answer.damaged:
            raise DamagedShard(done.answer.damaged)
        self.ledger.record_packed(done.answer)

    def _record_rendered(self, done: FinishedJob, job: ItemJob, crew: Crew, messages: BuildMessages) -> None:
        uid = job.item.uid
        attempt = done.answer if isinstance(done.answer, Attempt) else lost_attempt(uid, self.name)
        self._unrecorded.append(attempt)
        self.ledger.tries[uid] += 1
        if attempt.outcome in CHILD_DEATHS:
            # Other programs may have taken the child's memory. Only a repeated death is held against the object.
            self.ledger.deaths[uid] += 1
            if self.ledger.deaths[uid] < self.settings.child_deaths:
                self.progress.say(f"{uid}: {attempt.reason}; trying once more")
                crew.submit(job)
                return
        if attempt.outcome != Outcome.OK:
            self.progress.say(f"{uid}: {attempt.outcome}: {attempt.reason}")
        elif attempt.missing_pictures:
            self.progress.say(f"{uid}: rendered without these pictures: {attempt.missing_pictures}")
        if (copy := self.ledger.record_end(attempt)) is not None:
            self.progress.say(f"{copy.uid}: has the same bytes as {uid} and is tried in its place")
            crew.submit(ItemJob(copy, self.earlier.get(copy.uid)))
        messages.report_attempt(attempt, job.item.title or uid, self.facts.views)

    def _feed(self, crew: Crew) -> None:
        """Keep the crew's queue filled, but bounded: a million jobs do not fit in memory."""
        # Before renders: staged views take disk space until they are packed.
        for pack in self.ledger.seal_numbers(PACKS_AHEAD):
            crew.submit(pack, soon=True)
        for item in islice(self._to_render, ITEMS_AHEAD - crew.waiting if crew.waiting < ITEMS_AHEAD // 2 else 0):
            crew.submit(ItemJob(item, self.earlier.get(item.uid)))


def lost_attempt(uid: str, run: str) -> Attempt:
    """Return the attempt at an object whose workers were lost too often."""
    return Attempt(
        # Named here, because its worker never answered. The time keeps two losses of an object apart.
        attempt=f"lost-{uid}-{time.time_ns()}",
        run=run,
        uid=uid,
        outcome=Outcome.LOST,
        reason="its worker or node was lost too often",
        at=time.time(),
    )
