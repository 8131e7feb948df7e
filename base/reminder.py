"""When to report a lasting condition: show it every few seconds, print it after a while, then less and less often."""

import time
from collections.abc import Callable
from dataclasses import dataclass

SHOW_EVERY_S = 5.0
SAY_AFTER_S, SAY_AT_MOST_EVERY_S = 30.0, 600.0


@dataclass
class Reminder:
    """Decides, on each call of `due`, if it is time to report. `now` returns seconds of any clock."""

    now: Callable[[], float] = time.monotonic
    _since: float | None = None
    _show_after_s: float = 0.0
    _say_after_s: float = 0.0

    def due(self, *, lasts: bool) -> tuple[bool, bool]:
        """Return (show now, print now), given if the condition still lasts."""
        if not lasts:
            self._since = None
            return False, False
        if self._since is None:
            self._since, self._show_after_s, self._say_after_s = self.now(), SHOW_EVERY_S, SAY_AFTER_S
        lasted_s = self.now() - self._since
        show, say = lasted_s >= self._show_after_s, lasted_s >= self._say_after_s
        if show:
            self._show_after_s = lasted_s + SHOW_EVERY_S
        if say:
            # Doubled each time, so that a night's outage does not fill the log.
            self._say_after_s = lasted_s + min(lasted_s + SAY_AFTER_S, SAY_AT_MOST_EVERY_S)
        return show, say
