"""Progress of a child: each task is a phase, announced again while it advances, so that its deadline begins anew."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

EVERY_S = 1.0


class PhaseProgress:
    """A Progress that announces to `enter` that the phase `reconstruct` goes on, at most once a second."""

    def __init__(self, enter: Callable[[str], None]) -> None:
        self._enter, self._said_at = enter, time.monotonic()

    def task(self, name: str, *, total: float, unit: str, done: float = 0) -> Self:
        """Begin a task, see `Progress`."""
        del name, total, unit, done
        return self

    def say(self, line: str) -> None:
        """Pass over a line for people: a worker has none."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def advance(self, amount: float = 1, *, note: str = "") -> None:
        """Announce the phase."""
        del amount, note
        now = time.monotonic()
        if now - self._said_at >= EVERY_S:
            self._said_at = now
            self._enter("reconstruct")

    def show(self, note: str) -> None:
        """Pass over a note, see `say`."""
