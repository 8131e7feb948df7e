"""Asking again: a store that is away for a while is waited for, in steps that grow."""

import secrets
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from base.storage import Unavailable

T = TypeVar("T")
FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 15.0
SAY_EVERY_S = 5.0


def say_nothing(_line: str) -> None:
    """Say nothing."""


class Retry:
    """Goes on asking for `seconds`; `say` is told of the waiting, and whoever sets `stop` ends it at once.

    May be shared by threads.
    """

    def __init__(self, seconds: float, say: Callable[[str], None], stop: threading.Event) -> None:
        self.seconds, self.say, self.stop = seconds, say, stop
        self._said = -SAY_EVERY_S

    def call(self, request: Callable[[], T]) -> T:
        """What `request` returns, asked again while it raises Unavailable; its last Unavailable when time is up."""
        began, wait_s = time.monotonic(), FIRST_WAIT_S
        while True:
            try:
                return request()
            except Unavailable as away:
                left_s = began + self.seconds - time.monotonic()
                if left_s <= 0 or self.stop.is_set():
                    raise
                self._tell(f"{away}; asking again for up to {left_s:.0f} s")
                if self.stop.wait(min(left_s, wait_s * (1.0 + secrets.randbelow(1000) / 1000))):
                    raise
                wait_s = min(2.0 * wait_s, LONGEST_WAIT_S)

    def _tell(self, line: str) -> None:
        now = time.monotonic()
        if now - self._said >= SAY_EVERY_S:
            self._said = now
            self.say(line)
