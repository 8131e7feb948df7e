"""Describe the last jobs of a build: their names, phases, machines and ages."""

from collections.abc import Sequence
from dataclasses import dataclass

from base.progress import format_duration


@dataclass(frozen=True)
class RunningJob:
    """A job in flight for `seconds` on `host`. `phase` is empty when its worker does not answer."""

    name: str
    phase: str
    seconds: float
    host: str

    def __str__(self) -> str:
        # The host is unknown while Ray restarts the actor elsewhere.
        phase, host = self.phase or "no answer", self.host or "a lost node"
        return f"{self.name} ({phase}, {format_duration(self.seconds)}, on {host})"


def describe_stragglers(oldest: Sequence[RunningJob], in_flight: int) -> str:
    """Describe the last jobs in a single line, the oldest first."""
    more = f", and {in_flight - len(oldest)} more" if in_flight > len(oldest) else ""
    return f"waiting for the last {in_flight}: {', '.join(map(str, oldest))}{more}"
