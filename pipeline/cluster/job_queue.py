"""The queue of a crew, and what becomes of a job whose worker was lost: a few more tries, one alone, then none."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pipeline.work.worker import Job, ViewJob


@dataclass
class Errand:
    """A job, and how often it was given to a worker that was lost with it."""

    job: Job
    losses: int = 0


@dataclass
class Errands:
    """Jobs that wait. `free_losses` losses cost a job nothing; after one more it is tried alone, and then given up."""

    free_losses: int
    _queue: deque[Errand] = field(default_factory=deque)
    _alone: deque[Errand] = field(default_factory=deque)

    def __len__(self) -> int:
        return len(self._queue) + len(self._alone)

    def add(self, job: Job, *, soon: bool) -> None:
        """Queue a job; `soon` puts it before the others."""
        (self._queue.appendleft if soon else self._queue.append)(Errand(job))

    def take(self, *, others_at_work: bool) -> Errand | None:
        """The next one to be done; of those to be tried alone only when nobody is at work and nothing else waits."""
        if self._queue:
            return self._queue.popleft()
        return self._alone.popleft() if self._alone and not others_at_work else None

    def take_some(self, most: int, *, others_at_work: bool) -> list[Errand]:
        """The next ones for one worker, up to `most`: objects that were never lost; anything else comes by itself."""
        taken = [errand] if (errand := self.take(others_at_work=others_at_work)) else []
        while taken and len(taken) < most and self._queue and _goes_along(taken[0]) and _goes_along(self._queue[0]):
            taken.append(self._queue.popleft())
        return taken

    def give_back(self, errands: Sequence[Errand]) -> None:
        """Errands that nobody has begun are the next ones again."""
        self._queue.extendleft(reversed(errands))

    def lost(self, errand: Errand) -> bool:
        """Count a loss and queue the job again; False when it was lost once more than may be."""
        errand.losses += 1
        if errand.losses > self.free_losses + 1:
            return False
        (self._alone if errand.losses > self.free_losses else self._queue).append(errand)
        return True

    def keep(self, wanted: Callable[[Job], bool]) -> None:
        """Forget every job but the wanted ones."""
        for waiting in (self._queue, self._alone):
            kept = [errand for errand in waiting if wanted(errand.job)]
            waiting.clear()
            waiting.extend(kept)


def _goes_along(errand: Errand) -> bool:
    return isinstance(errand.job, ViewJob) and not errand.losses
