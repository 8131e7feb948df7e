"""Facts of a dataset's builds for a report, read from the catalogue alone."""

from dataclasses import dataclass, field

from base.storage import Storage
from pipeline.catalog import Catalog
from pipeline.rows import Attempt, ObjectRow


@dataclass(frozen=True)
class ObjectFacts:
    """One object as a report shows it: how it ended, what its last attempt took, and whose it is.

    `seconds` is by phase; `peak_mb` is 0 when nobody measured it. Texts come from outside: escape them.
    """

    uid: str
    title: str
    author: str
    licence: str
    page: str
    outcome: str
    reason: str
    attempts: int
    seconds: dict[str, float] = field(default_factory=dict)
    peak_mb: float = 0.0
    stderr_tail: str = ""


def object_facts(storage: Storage) -> list[ObjectFacts]:
    """The facts of every object ever asked for, in order of title. Raises Failure for an unreadable catalogue."""
    catalog = Catalog(storage)
    last = {attempt.uid: attempt for attempt in catalog.attempts()}
    facts = [_facts(row, last.get(row.uid)) for row in catalog.objects().records()]
    return sorted(facts, key=lambda one: (one.title, one.uid))


def _facts(row: ObjectRow, attempt: Attempt | None) -> ObjectFacts:
    return ObjectFacts(
        uid=row.uid,
        title=row.title,
        author=row.author,
        licence=row.licence,
        page=row.page,
        outcome=row.outcome,
        reason=row.reason,
        attempts=row.attempts,
        seconds=dict(attempt.seconds) if attempt is not None else {},
        peak_mb=attempt.peak_mb if attempt is not None else 0.0,
        stderr_tail=attempt.stderr_tail if attempt is not None else "",
    )
