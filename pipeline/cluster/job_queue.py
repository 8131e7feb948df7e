"""The queue of a crew: a job whose worker was lost is tried again, then alone, then given up."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pipeline.work.worker import ItemJob, Job


@dataclass
class QueuedJob:
    """A job and the number of times its worker was lost."""

    job: Job
    losses: int = 0


@dataclass
class JobQueue:
    """Waiting jobs. The first `free_losses` losses of a job cost nothing; after a further loss it runs alone."""

    free_losses: int
    _queue: deque[QueuedJob] = field(default_factory=deque)
    _alone: deque[QueuedJob] = field(default_factory=deque)

    def __len__(self) -> int:
        return len(self._queue) + len(self._alone)

    def add(self, job: Job, *, soon: bool) -> None:
        """Queue a job; `soon` puts it before all others."""
        (self._queue.appendleft if soon else self._queue.append)(QueuedJob(job))

    def pop(self, *, others_busy: bool) -> QueuedJob | None:
        """Take the next job. A suspect job comes last, and only while no other worker is busy.

        A job lost too often may kill its node. Alone, it can harm no other job, and the blame is certain.
        """
        if self._queue:
            return self._queue.popleft()
        return self._alone.popleft() if self._alone and not others_busy else None

    def pop_batch(self, limit: int, *, others_busy: bool) -> list[QueuedJob]:
        """Take up to `limit` jobs for a worker. Only item jobs without losses share a batch."""
        batch = [queued] if (queued := self.pop(others_busy=others_busy)) else []
        while batch and len(batch) < limit and self._queue and _can_share(batch[0]) and _can_share(self._queue[0]):
            batch.append(self._queue.popleft())
        return batch

    def requeue_unstarted(self, jobs: Sequence[QueuedJob]) -> None:
        """Put jobs not yet started back at the front, in their order."""
        self._queue.extendleft(reversed(jobs))

    def requeue_lost(self, queued: QueuedJob) -> bool:
        """Count a loss and queue the job again. Returns False when the job has no try left."""
        queued.losses += 1
        if queued.losses > self.free_losses + 1:
            return False
        # At the end: a job fatal to its node should not come straight back while others wait.
        (self._alone if queued.losses > self.free_losses else self._queue).append(queued)
        return True

    def keep(self, wanted: Callable[[Job], bool]) -> None:
        """Drop every job unless `wanted` is true for it."""
        for waiting in (self._queue, self._alone):
            kept = [queued for queued in waiting if wanted(queued.job)]
            waiting.clear()
            waiting.extend(kept)


def _can_share(queued: QueuedJob) -> bool:
    return isinstance(queued.job, ItemJob) and not queued.losses
