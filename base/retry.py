"""Repeat requests to a store that is unavailable for a while, with growing waits between them."""

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
    """Ignore a message."""


class Retry:
    """Repeats a request for up to `seconds` while its store is unavailable.

    `say` receives a message about the outage every few seconds. Setting `stop` ends the waiting at once. Threads may
    share an instance.
    """

    def __init__(self, seconds: float, say: Callable[[str], None], stop: threading.Event) -> None:
        self.seconds, self.say, self.stop = seconds, say, stop
        self._said = -SAY_EVERY_S

    def call(self, request: Callable[[], T]) -> T:
        """Repeat `request` while it raises Unavailable. Return its answer, or raise the last Unavailable in the end."""
        began, wait_s = time.monotonic(), FIRST_WAIT_S
        while True:
            try:
                return request()
            except Unavailable as away:
                left_s = began + self.seconds - time.monotonic()
                if left_s <= 0 or self.stop.is_set():
                    raise
                self._report(f"{away}; asking again for up to {left_s:.0f} s")
                # Random waits keep many readers from asking a recovering store at the same moment.
                if self.stop.wait(min(left_s, wait_s * (1.0 + secrets.randbelow(1000) / 1000))):
                    raise
                wait_s = min(2.0 * wait_s, LONGEST_WAIT_S)

    def _report(self, line: str) -> None:
        now = time.monotonic()
        if now - self._said >= SAY_EVERY_S:
            self._said = now
            self.say(line)
