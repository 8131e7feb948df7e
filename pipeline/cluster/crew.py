"""The crew: workers up to the capacity of the cluster, and the jobs they are given.

Each worker is an actor with a stage of its own. An item's failure is data in an answer. The loss of an actor or
its node is infrastructure: its job is queued again, a few times freely, then once alone, and then ends as lost. A
worker has a single job at a time, which bounds the work in flight. Jobs of milliseconds travel in batches of a fraction
of a second; a worker returns those not started by then. Workers on draining nodes get no job.
"""

import secrets
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Any, Self

from base.errors import Failure
from pipeline.catalog.rows import Attempt
from pipeline.cluster.actor import (
    CALL_S,
    STATUS_GROUP,
    RunnerFactory,
    WorkerInfo,
    kill_workers_of,
    start_shared_buckets,
    worker_actor_class,
    worker_name,
)
from pipeline.cluster.capacity import Capacity, cluster_capacity
from pipeline.cluster.code import code_digest
from pipeline.cluster.job_queue import JobQueue, QueuedJob
from pipeline.cluster.metrics import BuildMetrics
from pipeline.cluster.session import ray_for
from pipeline.cluster.stragglers import RunningJob
from pipeline.settings import RunSettings
from pipeline.work.pack import PackJob, PackResult
from pipeline.work.worker import ItemJob, Job, Worker, WorkerSpec

TICK_S = 1.0
CLOSE_S = 5.0
ANSWER_S = 1.0
MAX_BATCH = 256
IDLE_S = 60.0
"""An idle worker is dismissed after this time, and its node can go. A new child costs less than a machine."""
SPARE = 8
"""At least this many workers wait for capacity on a joined cluster. They are the demand its autoscaler sees."""


@dataclass(frozen=True)
class FinishedJob:
    """A finished job with its answer, or with None when its workers were lost too often."""

    job: Job
    answer: Attempt | PackResult | None


@dataclass
class _WorkerHandle:
    """An actor and its present call: none, its start (without jobs), or a batch of jobs.

    `info` is None until the actor has started. `since` is when the present call or idleness began.
    """

    actor: Any
    ref: Any = None
    jobs: Sequence[QueuedJob] = ()
    info: WorkerInfo | None = None
    since: float = field(default_factory=time.monotonic)

    def wait_for(self, ref: Any, jobs: Sequence[QueuedJob] = ()) -> None:
        self.ref, self.jobs, self.since = ref, jobs, time.monotonic()


@dataclass
class Crew:
    """A context manager: a local or joined Ray, and its workers. `submit` jobs, then iterate over `results`.

    `builder` is the token of the builder's lease. It is part of the workers' names.
    """

    run: RunSettings
    spec: WorkerSpec
    make: RunnerFactory = Worker
    builder: str = field(default_factory=lambda: secrets.token_hex(8))
    _handles: list[_WorkerHandle] = field(default_factory=list)
    _ray: ExitStack = field(default_factory=ExitStack)
    _capacity: Capacity = field(default_factory=lambda: Capacity(0, frozenset()))
    _measured_at: float = 0.0
    _failed_starts: int = 0
    _batch: int = 1
    _fetches: bool = False
    _numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self._queue = JobQueue(self.run.infrastructure_losses)

    def __enter__(self) -> Self:
        # Before Ray starts: nothing is left running if our own files cannot be read.
        self._code = code_digest(self.spec.stage.rooms, self.spec.stage.packages)
        self._is_local = self._ray.enter_context(ray_for(self.run))
        self._metrics = BuildMetrics()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import ray

        try:
            # After an error the workers may be stuck, so only a clean end waits for their children.
            closing = [handle.actor.close.remote() for handle in self._handles if handle.info and error is None]
            if closing:
                ray.wait(closing, num_returns=len(closing), timeout=CLOSE_S)
            for handle in self._handles:
                ray.kill(handle.actor)
        finally:
            self._ray.close()

    @property
    def waiting(self) -> int:
        """The number of jobs in the queue."""
        return len(self._queue)

    @property
    def in_flight(self) -> int:
        """The number of jobs at workers."""
        return sum(len(handle.jobs) for handle in self._handles)

    @property
    def workers(self) -> int:
        """The number of started workers. Others wait for capacity on the cluster."""
        return sum(handle.info is not None for handle in self._handles)

    @property
    def worker_needs(self) -> str:
        """The resources needed by a worker, in words."""
        gpus = f" and {self.run.gpus_per_worker:g} GPU" if self.run.gpus_per_worker else ""
        return f"{self.run.cpus_per_worker:g} CPU{gpus}"

    def submit(self, job: Job, *, soon: bool = False) -> None:
        """Queue a job; `soon` puts it before all others."""
        # A stage without known endings fetches nothing; its items may be parts of remote files all the same.
        fetches = isinstance(job, ItemJob) and "://" in job.item.location and self.spec.stage.suffixes
        if fetches and not self._fetches:
            start_shared_buckets(self.spec.fetch)
            # Once, and only for sources on the network: a detached actor stays on the cluster after the build.
            self._fetches = True
        self._queue.add(job, soon=soon)

    def results(self) -> Iterator[FinishedJob | None]:
        """Yield every job as it ends, until no job is left. Yields None about once a second and after every loss.

        Raises Failure when a worker's machine has a fault and every object would fail.
        """
        import ray

        while self.waiting or self.in_flight:
            self._measure_capacity()
            self._resize()
            self._dispatch()
            refs = [handle.ref for handle in self._handles if handle.ref is not None]
            # With a limit, because renewing the lease, records and messages must go on while all workers are busy.
            finished, _ = ray.wait(refs, num_returns=1, timeout=TICK_S)
            if not finished:
                yield None
            for ref in finished:
                ended = list(self._collect(next(handle for handle in self._handles if handle.ref == ref)))
                yield from ended or (None,)

    def replace_builders(self, builders: Collection[str]) -> None:
        """Kill the workers of builders whose leases expired: our workers need the resources they hold."""
        kill_workers_of(builders)

    def give_up_items(self) -> None:
        """Drop every item job, queued or running. Pack jobs stay."""
        import ray

        self._queue.keep(lambda job: isinstance(job, PackJob))
        # A call at work cannot be cancelled: it waits for a child. A batch has jobs of a single kind.
        for handle in [handle for handle in self._handles if handle.jobs and isinstance(handle.jobs[0].job, ItemJob)]:
            ray.kill(handle.actor)
            self._handles.remove(handle)

    def oldest_running(self, limit: int) -> list[RunningJob]:
        """Describe the jobs in flight for longest, at most `limit`, the oldest first."""
        import ray

        now = time.monotonic()
        busy = [(handle, handle.jobs[0]) for handle in self._handles if handle.jobs]
        # The first job of a batch is named for all: a worker does not report how far it is.
        oldest = sorted(busy, key=lambda pair: pair[0].since)[:limit]
        asked = [handle.actor.phase.options(concurrency_group=STATUS_GROUP).remote() for handle, _ in oldest]
        # A frozen worker never answers, and a message must not stop the build.
        answered, _ = ray.wait(asked, num_returns=len(asked), timeout=ANSWER_S) if asked else ([], [])
        return [
            RunningJob(
                queued.job.name,
                _phase(ref) if ref in answered else "",
                now - handle.since,
                handle.info.host if handle.info is not None else "",
            )
            for (handle, queued), ref in zip(oldest, asked, strict=True)
        ]

    def _measure_capacity(self) -> None:
        now = time.monotonic()
        # Ray's state comes over the network, and jobs of milliseconds end far more often.
        if now - self._measured_at < TICK_S:
            return
        self._measured_at, self._capacity = now, cluster_capacity(self.run)
        # A joined cluster may still grow. A local Ray never does, so waiting would be for ever.
        if self._is_local and not self._capacity.slots:
            raise Failure(
                f"expected a machine with {self.worker_needs} for each worker "
                "(run.cpus_per_worker, run.gpus_per_worker), got a smaller machine"
            )
        self._metrics.set_levels(
            waiting=self.waiting, in_flight=self.in_flight, workers=self.workers, slots=self._capacity.slots
        )

    def _is_leaving(self, handle: _WorkerHandle) -> bool:
        return handle.info is not None and handle.info.node in self._capacity.leaving

    def _resize(self) -> None:
        """Hire up to the work and the capacity. Dismiss workers on draining nodes, surplus workers and idle workers."""
        now = time.monotonic()
        # A copy of the list, because dismissal changes it.
        for handle in [handle for handle in self._handles if handle.ref is None and self._is_leaving(handle)]:
            self._dismiss(handle)
        # Leaving workers are not counted, so replacements start before their nodes go.
        surplus = sum(not self._is_leaving(handle) for handle in self._handles) - self._wanted_workers()
        for _ in range(-surplus):
            self._hire()
        # From the newest, which is likeliest still to start. A copy, because dismissal changes the list.
        for handle in self._handles[::-1]:
            is_starting = handle.info is None and not handle.jobs
            is_idle = handle.ref is None and now - handle.since > IDLE_S
            if surplus > 0 and (is_starting or is_idle):
                self._dismiss(handle)
                surplus -= 1

    def _wanted_workers(self) -> int:
        # An autoscaler adds machines only for actors that wait. On a local Ray they would wait for ever.
        spare = 0 if self._is_local else max(SPARE, self._capacity.slots)
        return min(self.run.workers or max(1, self._capacity.slots + spare), self.in_flight + self.waiting)

    def _dispatch(self) -> None:
        busy = self.in_flight
        for handle in self._handles:
            if handle.ref is None and (jobs := self._queue.pop_batch(self._batch_size(), others_busy=busy > 0)):
                handle.wait_for(handle.actor.do.remote([queued.job for queued in jobs]), jobs)
                busy += len(jobs)

    def _batch_size(self) -> int:
        """Limit a batch to a worker's share of the queue, for all workers to get some."""
        return max(1, min(max(self._batch, self.spec.stage.items_at_once), self.waiting // len(self._handles)))

    def _collect(self, handle: _WorkerHandle) -> Iterator[FinishedJob]:
        import ray

        jobs, ref, took_s = handle.jobs, handle.ref, time.monotonic() - handle.since
        # First, so that the handle is idle after an error too.
        handle.wait_for(None)
        try:
            answers = ray.get(ref)
        except ray.exceptions.ActorDiedError as error:
            # With a job, the job may have killed the actor. Without a job, the machine is at fault.
            self._failed_starts += not jobs
            if self._failed_starts > self.run.infrastructure_losses:
                cluster_capacity(self.run)  # raises a clearer Failure when Ray itself has ended here
                raise Failure(f"workers die before their first job: {' '.join(str(error).split())[:300]}") from None
            self._handles.remove(handle)
            yield from self._requeue_lost(jobs)
        except _infrastructure_errors():
            # Ray restarts this actor, so the handle waits for its next start.
            handle.info = None
            handle.wait_for(handle.actor.ready.remote())
            yield from self._requeue_lost(jobs)
        else:
            if isinstance(answers, WorkerInfo):
                self._register(handle, answers)
                return
            if isinstance(jobs[0].job, ItemJob):
                # A batch too large does no harm: the worker returns the jobs it did not start.
                self._batch = max(1, min(MAX_BATCH, int(CALL_S * len(jobs) / max(took_s, 1e-9))))
            yield from self._pass_on(jobs, answers)

    def _pass_on(
        self, jobs: Sequence[QueuedJob], answers: Sequence[Attempt | PackResult | str]
    ) -> Iterator[FinishedJob]:
        # The call's time was up before these began. They count no loss.
        self._queue.requeue_unstarted(jobs[len(answers) :])
        for queued, answer in zip(jobs, answers, strict=False):
            # A machine's failure, such as a full disk: it would fail every object, so the build ends and says so.
            if isinstance(answer, str):
                raise Failure(answer)
            if isinstance(answer, Attempt):
                self._metrics.count_attempt(answer.outcome, answer.seconds)
            yield FinishedJob(queued.job, answer)

    def _register(self, handle: _WorkerHandle, info: WorkerInfo) -> None:
        handle.info, self._failed_starts = info, 0
        # Workers with other code would make other bytes under the same fingerprint, unnoticed.
        if info.code != self._code:
            raise Failure(
                f"{info.host}: expected the driver's code and packages ({self._code}), got {info.code}: "
                "`ray up` or `ray rsync-up --all-nodes` updates them"
            )

    def _requeue_lost(self, jobs: Sequence[QueuedJob]) -> Iterator[FinishedJob]:
        for queued in jobs:
            self._metrics.count_loss()
            if not self._queue.requeue_lost(queued):
                yield FinishedJob(queued.job, None)

    def _hire(self) -> None:
        actor_class = worker_actor_class(self.run.cpus_per_worker, self.run.gpus_per_worker)
        # Ray refuses a name in use, and a dismissed actor keeps its name until it has ended.
        named = actor_class.options(name=worker_name(self.builder, next(self._numbers)))
        handle = _WorkerHandle(named.remote(self.spec, self.make))
        handle.wait_for(handle.actor.ready.remote())
        self._handles.append(handle)

    def _dismiss(self, handle: _WorkerHandle) -> None:
        """Let a worker go. An actor without references ends after its last call."""
        import ray

        self._handles.remove(handle)
        # An actor that still waits for resources has no process to be closed, and would start later for nothing.
        if handle.info is None:
            ray.kill(handle.actor)
        else:
            handle.actor.close.remote()


def _infrastructure_errors() -> tuple[type[Exception], ...]:
    """List what Ray raises when an actor, its node or the machine's memory failed, and not the job itself."""
    from ray import exceptions

    return (
        *(exceptions.RayActorError, exceptions.NodeDiedError, exceptions.WorkerCrashedError),
        *(exceptions.OutOfMemoryError, exceptions.ObjectLostError, exceptions.ActorUnschedulableError),
    )


def _phase(ref: Any) -> str:
    import ray

    try:
        return str(ray.get(ref))
    except _infrastructure_errors():
        # The worker was lost while it was asked; its job is handled elsewhere.
        return ""
