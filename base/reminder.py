"""When to tell people of something that lasts: shown every few seconds, said after a while, then ever more seldom."""

import time
from collections.abc import Callable
from dataclasses import dataclass

SHOW_EVERY_S = 5.0
SAY_AFTER_S, SAY_AT_MOST_EVERY_S = 30.0, 600.0


@dataclass
class Reminder:
    """Asked often, it says when it is time. `now` gives seconds of any one clock."""

    now: Callable[[], float] = time.monotonic
    _since: float | None = None
    _show_after_s: float = 0.0
    _say_after_s: float = 0.0

    def due(self, *, lasts: bool) -> tuple[bool, bool]:
        """Whether to show it and whether to say it just now, given whether it still lasts."""
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
            self._say_after_s = lasted_s + min(lasted_s + SAY_AFTER_S, SAY_AT_MOST_EVERY_S)
        return show, say
