"""What a build says of itself while it works: how objects end, what it waits for, and who holds up the end."""

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

TOLD = 5
"""So many jobs, or objects, are named."""


@dataclass
class Telling:
    """Tells people through `progress`, and beside the bar of `task`."""

    progress: Progress
    task: Task
    _outcomes: Counter[str] = field(default_factory=Counter)
    _last_ones: Reminder = field(default_factory=Reminder)
    _no_room: Reminder = field(default_factory=Reminder)

    def ended(self, attempt: Attempt, title: str, views: int) -> None:
        """An object has ended: so many views are done with, whatever became of them."""
        self._outcomes[attempt.outcome] += 1
        counts = ", ".join(f"{count} {outcome}" for outcome, count in self._outcomes.most_common())
        self.task.advance(views, note=f"{counts}; {title}")

    def waits(self, crew: Crew) -> None:
        """Called often: names the last jobs when the others are done, and what there is no machine for."""
        show, say = self._last_ones.due(lasts=crew.in_flight > 0 and not crew.waiting)
        if show or say:
            told = describe_stragglers(crew.oldest_running(TOLD), crew.in_flight)
            self.task.show(told)
            if say:
                self.progress.say(told)
        _, say = self._no_room.due(lasts=not crew.workers)
        if say:
            self.progress.say(f"waiting for a machine of the cluster with {crew.worker_needs} free")


def nothing_stands(rows: Iterable[pyarrow.Table]) -> str:
    """Why a dataset with these rows would hold no object, in a few lines."""
    told, count = list[str](), 0
    for part in rows:
        bad = [row for row in part.to_pylist() if row["outcome"] not in (Outcome.OK, Outcome.REMOVED)]
        told += [f"  {row['uid']}: {row['outcome']}: {row['reason']}" for row in bad[: TOLD - len(told)]]
        count += len(bad)
    more = [f"  and {count - TOLD} more"] if count > TOLD else []
    return "\n".join([f"expected at least one object to succeed, got none of {count}:", *told, *more])
