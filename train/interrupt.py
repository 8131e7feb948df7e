"""Stop at a safe moment: remember the first Ctrl-C or SIGTERM, and raise it again after the work is saved."""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StepAbandoned(Exception):
    """A stop was requested before the data of a step came. The step was not taken."""


class Interrupt:
    """A context that delays the first signal to stop until its end. Inside, `requested` says if a stop is requested.

    A second signal has its usual effect at once. Ignored signals stay ignored, such as Ctrl-C in a shell's background
    jobs. Outside the main thread Python delivers no signals, and only `elsewhere` can request a stop.
    """

    def __init__(self, elsewhere: Callable[[], bool] = lambda: False) -> None:
        self.signal: int | None = None
        self.elsewhere = elsewhere
        self._before: dict[int, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether a signal has come or a stop is requested elsewhere."""
        return self.signal is not None or self.elsewhere()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            handled = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._remember) for number in handled}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
        # With an error under way, that error is what the user needs to see.
        if self.signal is not None and error is None:
            signal.raise_signal(self.signal)

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        # From now on a second signal has its usual effect.
        self.signal = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
