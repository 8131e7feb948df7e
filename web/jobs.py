"""The queue of jobs: one thread works them off in turn, and lets short jobs pass between the steps of a long job.

One thread, because a model computes for one job at a time and uses all cores for it. A job that takes minutes (a mesh)
does not hold up those that take a second: whenever it reports progress, waiting short jobs run first.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from base.errors import Failure
from base.progress import Progress, SilentTask, Task
from web.errors import Refused, unknown

log = logging.getLogger(__name__)
KEPT_JOBS = 2000
"""Ended jobs remembered; their files stay in the photo's folder."""
SLOWNESS = 0.3
"""The weight of the newest job in the average of seconds a job."""


class State(StrEnum):
    """Where a job is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = (State.DONE, State.FAILED, State.CANCELLED)
Work = Callable[[Progress], dict[str, Any]]
"""Does the job and returns its result, JSON values."""


class Cancelled(Exception):
    """Ends the work of a cancelled job at its next step."""


@dataclass
class Job:
    """A piece of work for a client. `short` jobs pass long ones; `version` rises with each change."""

    name: str
    kind: str
    client: str
    work: Work
    short: bool
    state: State = State.WAITING
    done: float = 0.0
    total: float = 0.0
    unit: str = ""
    message: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    version: int = 0
    is_cancelled: bool = False
    started: float = 0.0


class Jobs:
    """All jobs of a server, and the thread that works them off."""

    def __init__(self, *, most: int, most_per_client: int) -> None:
        self._most, self._most_per_client = most, most_per_client
        self._waiting: deque[Job] = deque()
        self._by_name: dict[str, Job] = {}
        self._seconds: dict[str, float] = {}
        self._changed = threading.Condition()
        self._running: list[Job] = []
        self._is_closed = False
        # A daemon, so that a step without end cannot keep a stopped process alive.
        self._thread = threading.Thread(target=self._run_all, name="jobs", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> Job:
        """Queue a job; one of the same name that waits, runs or is done is returned instead.

        Raises Refused (429) when too many jobs wait.
        """
        with self._changed:
            known = self._by_name.get(job.name)
            if known is not None and known.state not in (State.FAILED, State.CANCELLED):
                return known
            if len(self._waiting) >= self._most:
                raise Refused(429, f"expected a queue of fewer than {self._most} jobs, got a full one", self._left_s())
            own = sum(waiting.client == job.client for waiting in self._waiting)
            if own >= self._most_per_client:
                raise Refused(
                    429,
                    f"expected at most {self._most_per_client} waiting jobs of an address, got more",
                    self._left_s(),
                )
            # Taken out first, so that a repeated job goes to the end of the order in which jobs are forgotten.
            self._by_name.pop(job.name, None)
            self._by_name[job.name] = job
            self._waiting.append(job)
            self._forget_oldest()
            self._changed.notify_all()
            return job

    def get(self, name: str) -> Job:
        """Find a job. Raises Refused (404)."""
        with self._changed:
            if name not in self._by_name:
                raise unknown("job")
            return self._by_name[name]

    def cancel(self, job: Job) -> None:
        """End a job: at once if it waits, at its next step if it runs."""
        with self._changed:
            job.is_cancelled = True
            # A running job looks at the flag at its next step.
            if job in self._waiting:
                self._waiting.remove(job)
                self._end(job, State.CANCELLED, "cancelled")

    def wait(self, job: Job, version: int, timeout_s: float) -> Job:
        """Return when the job is no longer of that version, or after the timeout."""
        with self._changed:
            self._changed.wait_for(lambda: job.version != version or job.state in ENDED, timeout_s)
        return job

    def place(self, job: Job) -> int:
        """How many jobs come before this one: 0 when it runs or has ended."""
        with self._changed:
            return len(self._before(job))

    def seconds_left(self, job: Job) -> float | None:
        """How long until the job has ended, from what jobs of its kind took; None where nothing is known."""
        with self._changed:
            # Without a known time for each kind ahead, a sum would be a false promise.
            ahead = [*self._before(job), job] if job.state is State.WAITING else []
            running = [one for one in self._running if job.state is State.WAITING or one is job]
            if not all(one.kind in self._seconds for one in [*ahead, *running]):
                return self._rest_by_rate(job)
            return sum(self._seconds[one.kind] for one in ahead) + sum(map(self._rest, running))

    def close(self, timeout_s: float = 10.0) -> None:
        """End the thread; the running job stops at its next step."""
        with self._changed:
            self._is_closed = True
            for job in [*self._running, *self._waiting]:
                job.is_cancelled = True
            self._waiting.clear()
            self._changed.notify_all()
        self._thread.join(timeout_s)

    def let_short_pass(self) -> None:
        """Run the short jobs that wait now; called by a long job between its steps."""
        with self._changed:
            passing = [job for job in self._waiting if job.short]
            for job in passing:
                self._waiting.remove(job)
        for job in passing:
            self._run(job)

    def changed(self, job: Job) -> None:
        """Tell those who wait for a job that it has changed."""
        with self._changed:
            job.version += 1
            self._changed.notify_all()

    def _before(self, job: Job) -> list[Job]:
        if job not in self._waiting:
            return []
        waiting = [*self._waiting]
        earlier = waiting[: waiting.index(job)]
        # A short job passes the running long job and all long ones before it.
        return [one for one in earlier if one.short] if job.short else [*self._running, *earlier]

    def _run_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closed)
                if self._is_closed:
                    return
                # Run outside the lock, which requests need while the job works.
                job = self._waiting.popleft()
            self._run(job)

    def _run(self, job: Job) -> None:
        with self._changed:
            job.state, job.started = State.RUNNING, time.monotonic()
            self._running.append(job)
        self.changed(job)
        state, message = State.DONE, ""
        try:
            if job.is_cancelled:
                raise Cancelled
            job.result = job.work(_JobProgress(self, job))
        except Cancelled:
            state, message = State.CANCELLED, "cancelled"
        except (Failure, Refused) as error:
            state, message = State.FAILED, str(error)
        except Exception:
            # A fault of ours: the log has the traceback, the client a sentence without paths.
            log.exception("job %s", job.kind)
            state, message = State.FAILED, "the server failed at this job; its log says why"
        with self._changed:
            self._running.remove(job)
            if state is State.DONE:
                took = time.monotonic() - job.started
                # An exponential average: the first job counts whole, later ones by their newness.
                self._seconds[job.kind] = took + (1.0 - SLOWNESS) * (self._seconds.get(job.kind, took) - took)
            self._end(job, state, message)

    def _end(self, job: Job, state: State, message: str) -> None:
        job.state, job.message = state, message
        # The work holds its photo, megabytes of pictures, and ended jobs are remembered for long.
        job.work = _refuse
        job.version += 1
        self._changed.notify_all()

    def _rest(self, job: Job) -> float:
        return max(0.0, self._seconds[job.kind] - (time.monotonic() - job.started))

    def _rest_by_rate(self, job: Job) -> float | None:
        if job.state is not State.RUNNING or not 0.0 < job.done < job.total:
            return None
        return (time.monotonic() - job.started) * (job.total - job.done) / job.done

    def _left_s(self) -> float:
        return sum(self._seconds.get(job.kind, 1.0) for job in self._waiting)

    def _forget_oldest(self) -> None:
        ended = [name for name, job in self._by_name.items() if job.state in ENDED]
        # Dictionaries keep the order of insertion, so the oldest come first.
        for name in ended[: max(0, len(self._by_name) - KEPT_JOBS)]:
            del self._by_name[name]


def _refuse(_: Progress) -> dict[str, Any]:
    """Stand in for the work of an ended job, which never runs again."""
    raise AssertionError("expected a job that has not ended")


class _JobProgress:
    """Progress that a client can see; raises Cancelled in the work of a cancelled job."""

    def __init__(self, jobs: Jobs, job: Job) -> None:
        self.jobs, self.job = jobs, job

    def task(self, name: str, *, total: float, unit: str, done: float = 0) -> Task:
        """See `Progress.task`."""
        self.job.total, self.job.done, self.job.unit, self.job.message = total, done, unit, name
        self.step()
        return _JobTask(self)

    def say(self, line: str) -> None:
        """Show a line in place of the task's name."""
        self.job.message = line
        self.jobs.changed(self.job)

    def step(self) -> None:
        """Tell of the step that is done, let short jobs pass, and end the work if it was cancelled."""
        self.jobs.changed(self.job)
        if self.job.is_cancelled:
            raise Cancelled
        if not self.job.short:
            self.jobs.let_short_pass()


class _JobTask(SilentTask):
    def __init__(self, progress: _JobProgress) -> None:
        self._progress = progress

    def advance(self, amount: float = 1, *, note: str = "") -> None:
        self._progress.job.done += amount
        self._progress.step()
