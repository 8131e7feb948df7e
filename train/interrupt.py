"""Stopping at a good moment: the first Ctrl-C or SIGTERM is remembered, and raised again when the work is safe."""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StepAbandoned(Exception):
    """What a step needs did not come before somebody asked to stop; the step was not taken."""


class Interrupt:
    """While entered, `asked` tells whether to stop; leaving hands the signal to whoever would have got it.

    A second signal is not held back, and one that is ignored, as Ctrl-C is in a shell's background jobs, stays ignored.
    Outside the main thread, where Python gives no signals, `elsewhere` alone tells of somebody who asks.
    """

    def __init__(self, elsewhere: Callable[[], bool] = lambda: False) -> None:
        self.signal: int | None = None
        self.elsewhere = elsewhere
        self._before: dict[int, Any] = {}

    @property
    def requested(self) -> bool:
        """True once a signal has come, or somebody asks elsewhere."""
        return self.signal is not None or self.elsewhere()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._remember) for number in heard}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
        if self.signal is not None and error is None:
            signal.raise_signal(self.signal)

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        self.signal = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
