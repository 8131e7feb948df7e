"""What the last jobs of a build are at: who holds up the end, where, and since when."""

from collections.abc import Sequence
from dataclasses import dataclass

from base.progress import clock


@dataclass(frozen=True)
class AtWork:
    """A job in flight: an object or a shard, for `seconds` on `host`; `phase` is empty when its worker does not say."""

    name: str
    phase: str
    seconds: float
    host: str

    def __str__(self) -> str:
        return f"{self.name} ({self.phase or 'no answer'}, {clock(self.seconds)}, on {self.host or 'a lost node'})"


def sentence(oldest: Sequence[AtWork], in_flight: int) -> str:
    """The last jobs in one line, the oldest first."""
    more = f", and {in_flight - len(oldest)} more" if in_flight > len(oldest) else ""
    return f"waiting for the last {in_flight}: {', '.join(map(str, oldest))}{more}"
