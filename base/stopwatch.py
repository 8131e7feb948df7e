"""The seconds of each phase of a piece of work."""

import time


class Stopwatch:
    """The current `phase` of a child and the `seconds` of each phase so far; they survive the child's death."""

    def __init__(self, phase: str) -> None:
        self.phase = phase
        self.seconds: dict[str, float] = {}
        self._since = time.monotonic()

    def begin(self, phase: str) -> None:
        """End the current phase and begin `phase`."""
        self.stop()
        self.phase = phase

    def stop(self) -> None:
        """Add the time since the last call to the current phase."""
        now = time.monotonic()
        self.seconds[self.phase] = self.seconds.get(self.phase, 0.0) + now - self._since
        self._since = now
