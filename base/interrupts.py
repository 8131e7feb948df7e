"""Delay signals to stop until work that must not be cut in half has ended."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def delay_signals() -> Iterator[None]:
    """Run a block whole: the first signal to stop arrives at its end, a second signal arrives at once."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python delivers signals to the main thread only
        return
    handlers = {int(number): signal.getsignal(number) for number in STOPS}
    held: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        handler = handlers[number]
        # A second signal: the person does not want to wait.
        if held and callable(handler):
            held.clear()
            handler(number, frame)
        held.append(number)

    for number, handler in handlers.items():
        if callable(handler):
            signal.signal(number, hold)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if callable(handler):
                signal.signal(number, handler)
        if held:
            # After the handlers are back, so that the signal has its usual effect.
            signal.raise_signal(held[0])
