"""Progress of a child: while work advances, its phase is announced again, so that the phase's deadline begins anew."""

import time
from collections.abc import Callable
from typing import Self

from base.progress import SilentTask

EVERY_S = 1.0


class PhaseProgress(SilentTask):
    """A Progress, and its own task, that has `announce` called while work advances, at most once a second."""

    def __init__(self, announce: Callable[[], None]) -> None:
        self._announce, self._said_at = announce, time.monotonic()

    def task(self, name: str, *, total: float, unit: str, done: float = 0) -> Self:
        """Begin a task, see `Progress`."""
        del name, total, unit, done
        return self

    def say(self, line: str) -> None:
        """Pass over a line for people: a worker has none."""

    def advance(self, amount: float = 1, *, note: str = "") -> None:
        """Announce the phase."""
        del amount, note
        now = time.monotonic()
        if now - self._said_at >= EVERY_S:
            self._said_at = now
            self._announce()
