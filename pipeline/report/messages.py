"""Messages of a build at work: outcomes so far, the last running jobs, and a lack of machines."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import pyarrow

from base.outcomes import Outcome
from base.progress import Progress, Task
from base.reminder import Reminder
from pipeline.catalog.rows import Attempt
from pipeline.cluster import Crew
from pipeline.cluster.stragglers import describe_stragglers

NAMED = 5
"""At most this many jobs or objects are named in a message."""


@dataclass
class BuildMessages:
    """Prints messages through `progress`, and notes beside the bar of `task`."""

    progress: Progress
    task: Task
    _outcomes: Counter[str] = field(default_factory=Counter)
    _stragglers: Reminder = field(default_factory=Reminder)
    _no_workers: Reminder = field(default_factory=Reminder)

    def report_attempt(self, attempt: Attempt, title: str, views: int) -> None:
        """Count the outcome of an object, and advance the bar by its views."""
        self._outcomes[attempt.outcome] += 1
        counts = ", ".join(f"{count} {outcome}" for outcome, count in self._outcomes.most_common())
        self.task.advance(views, note=f"{counts}; {title}")

    def report_waiting(self, crew: Crew) -> None:
        """Name the last running jobs, and say when no machine is free. Called at every tick; prints rarely."""
        show, say = self._stragglers.due(lasts=crew.in_flight > 0 and not crew.waiting)
        if show or say:
            line = describe_stragglers(crew.oldest_running(NAMED), crew.in_flight)
            self.task.show(line)
            if say:
                self.progress.say(line)
        _, say = self._no_workers.due(lasts=not crew.workers)
        if say:
            self.progress.say(f"waiting for a machine of the cluster with {crew.worker_needs} free")


def describe_empty_version(rows: Iterable[pyarrow.Table]) -> str:
    """Explain in a few lines why a dataset with these rows would hold no object."""
    lines, count = list[str](), 0
    for part in rows:
        # In parts: only a few names of a million are printed.
        bad = [row for row in part.to_pylist() if row["outcome"] not in (Outcome.OK, Outcome.REMOVED)]
        lines += [f"  {row['uid']}: {row['outcome']}: {row['reason']}" for row in bad[: NAMED - len(lines)]]
        count += len(bad)
    more = [f"  and {count - NAMED} more"] if count > NAMED else []
    return "\n".join([f"expected at least one object to succeed, got nothing of {count}:", *lines, *more])
