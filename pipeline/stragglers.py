"""What the last jobs of a build are at, told while the others are done: who holds up the end, where and since when."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from base.progress import clock

TOLD = 5
SHOW_EVERY_S = 5.0
SAY_AFTER_S, SAY_AT_MOST_EVERY_S = 30.0, 600.0


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


@dataclass
class Stragglers:
    """When to tell: shown every few seconds, said after half a minute and then ever more seldom."""

    now: Callable[[], float] = time.monotonic
    _since: float | None = field(default=None)
    _show_at: float = 0.0
    _say_after_s: float = SAY_AFTER_S

    def due(self, *, last_ones: bool) -> tuple[bool, bool]:
        """Whether to show and whether to say it now, given that nothing waits while something is in flight."""
        now = self.now()
        if not last_ones:
            self._since = None
            return False, False
        if self._since is None:
            self._since, self._show_at, self._say_after_s = now, now + SHOW_EVERY_S, SAY_AFTER_S
        show, say = now >= self._show_at, now - self._since >= self._say_after_s
        if show:
            self._show_at = now + SHOW_EVERY_S
        if say:
            self._say_after_s += min(self._say_after_s + SAY_AFTER_S, SAY_AT_MOST_EVERY_S)
        return show, say
