"""Metrics of a build for Prometheus, named `ray_zero123_…`. Only the driver reports them."""

from collections.abc import Mapping
from typing import Any

PHASE_BOUNDARIES_S = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0]


class BuildMetrics:
    """The metrics of a build. Prometheus derives rates from counts: `rate(ray_zero123_objects_total[5m])`."""

    def __init__(self) -> None:
        from ray.util.metrics import Counter, Gauge, Histogram

        self._objects = Counter("zero123_objects", "Attempts that ended, by outcome", ("outcome",))
        self._losses = Counter("zero123_losses", "Attempts that ended with their worker or its node")
        self._seconds: Any = Histogram(
            "zero123_phase_seconds", "Seconds of an object in each phase", PHASE_BOUNDARIES_S, ("phase",)
        )
        # Gauges, because these go up and down; the counts above only grow.
        self._gauges = {
            name: Gauge(f"zero123_{name}", description)
            for name, description in {
                "waiting": "Jobs in the queue",
                "in_flight": "Jobs in flight",
                "workers": "Workers alive",
                "slots": "Workers the cluster can hold",
            }.items()
        }

    def count_attempt(self, outcome: str, seconds: Mapping[str, float]) -> None:
        """Count an attempt and its seconds by phase."""
        self._objects.inc(1.0, {"outcome": outcome})
        for phase, spent in seconds.items():
            self._seconds.observe(spent, {"phase": phase})

    def count_loss(self) -> None:
        """Count an attempt that ended with its worker or node."""
        self._losses.inc()

    def set_levels(self, **levels: int) -> None:
        """Set the gauges: `waiting`, `in_flight`, `workers`, `slots`."""
        for name, level in levels.items():
            self._gauges[name].set(level)
