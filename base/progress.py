"""Progress of long work: a bar with rate and time left in a terminal, plain lines elsewhere.

with progress.task("render", total=96, unit="views") as task:
    task.advance(1, note="van")
"""

import sys
import time
from types import TracebackType
from typing import Protocol, Self, TextIO

from base.text import replace_controls

PLAIN_EVERY_S = 5.0
"""Without a terminal, a task prints at most once in this many seconds."""


class Task(Protocol):
    """A piece of long work and its state of completion; a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def advance(self, amount: float = 1, *, note: str = "") -> None:
        """Count `amount` more units as done and show `note` beside the bar."""
        ...

    def show(self, note: str) -> None:
        """Show a note beside the bar. Without a bar, do nothing."""
        ...


class Progress(Protocol):
    """The receiver of progress reports."""

    def task(self, name: str, *, total: float, unit: str, done: float = 0) -> Task:
        """Start a task of `total` units. `done` of them, from an earlier run, do not count for the rate."""
        ...

    def say(self, line: str) -> None:
        """Print a line for a person."""
        ...


class SilentTask:
    """Discards its reports; to be inherited by tasks that pass some of them on."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def advance(self, amount: float = 1, *, note: str = "") -> None:
        """Discard it."""

    def show(self, note: str) -> None:
        """Discard it."""


class _Silent:
    def task(self, name: str, *, total: float, unit: str, done: float = 0) -> Task:
        return SilentTask()

    def say(self, line: str) -> None:
        return None


SILENT: Progress = _Silent()
"""Discards all reports."""


class _PlainTask(SilentTask):
    def __init__(self, stream: TextIO, name: str, total: float, unit: str, done: float) -> None:
        self.stream, self.name, self.total, self.unit = stream, name, total, unit
        self.done = self.done_before = done
        self.started = self.printed = time.monotonic()

    def advance(self, amount: float = 1, *, note: str = "") -> None:
        self.done += amount
        now = time.monotonic()
        if now - self.printed >= PLAIN_EVERY_S or self.done >= self.total:
            self.printed = now
            _print(self.stream, self._line(now, note))

    def _line(self, now: float, note: str) -> str:
        # Only of this run: what was there before would make the time left look short.
        rate = (self.done - self.done_before) / max(now - self.started, 1e-9)
        left = (
            f", {format_duration(max(self.total - self.done, 0) / rate)} left"
            if rate > 0 and self.done < self.total
            else ""
        )
        return (
            f"{self.name}: {self.done:,.0f}/{self.total:,.0f} {self.unit}, {_rate(rate)} {self.unit}/s"
            f"{left}{f', {note}' if note else ''}"
        )


class PlainProgress:
    """Progress as plain lines on a stream."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def task(self, name: str, *, total: float, unit: str, done: float = 0) -> Task:
        """See `Progress.task`."""
        return _PlainTask(self.stream, name, total, unit, done)

    def say(self, line: str) -> None:
        """See `Progress.say`."""
        _print(self.stream, line)


class RichProgress:
    """Progress as bars in a terminal."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console

        self.console = Console(file=stream, highlight=False)

    def task(self, name: str, *, total: float, unit: str, done: float = 0) -> Task:
        """See `Progress.task`."""
        return _RichTask(self.console, name, total, unit, done)

    def say(self, line: str) -> None:
        """See `Progress.say`."""
        self.console.print(replace_controls(line), markup=False, soft_wrap=True)


class _RichTask:
    def __init__(self, console: "object", name: str, total: float, unit: str, done: float) -> None:
        from rich import progress as rich_progress

        self.bar = rich_progress.Progress(
            rich_progress.TextColumn("{task.description:<12}", markup=False),
            rich_progress.BarColumn(),
            rich_progress.TextColumn("{task.fields[count]}", markup=False),
            rich_progress.TimeElapsedColumn(),
            rich_progress.TextColumn("{task.fields[left]}", markup=False),
            rich_progress.TextColumn("{task.fields[note]}", markup=False),
            console=console,  # type: ignore[arg-type]
        )
        self.total, self.unit, self.done, self.done_before = total, unit, done, done
        self.started = time.monotonic()
        self.task = self.bar.add_task(name, total=total, completed=int(done), note="", count="", left="")

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def advance(self, amount: float = 1, *, note: str = "") -> None:
        self.done += amount
        rate = (self.done - self.done_before) / max(time.monotonic() - self.started, 1e-9)
        left = f"{format_duration(max(self.total - self.done, 0) / rate)} left" if rate > 0 else ""
        count = f"{self.done:,.0f}/{self.total:,.0f} {self.unit}, {_rate(rate)}/s"
        self.bar.update(self.task, advance=amount, count=count, left=left)
        self.show(note)

    def show(self, note: str) -> None:
        self.bar.update(self.task, note=replace_controls(note))


def progress_on(stream: TextIO) -> Progress:
    """Make bars when `stream` is a terminal, plain lines otherwise."""
    return RichProgress(stream) if stream.isatty() else PlainProgress(stream)


def format_duration(seconds: float) -> str:
    """Format a duration: "45 s", "3:20 min", "2:05 h"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60}:{whole % 60:02d} min" if whole < 3600 else f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def _rate(per_s: float) -> str:
    return f"{per_s:,.1f}" if per_s >= 1 else f"{per_s:.2g}"


def _print(stream: TextIO, line: str) -> None:
    # Flushed, because logs are followed while a build runs.
    print(replace_controls(line), file=stream, flush=True)


def standard_progress() -> Progress:
    """Make progress on standard error, to keep it apart from a command's output."""
    return progress_on(sys.stderr)
