"""What Prometheus finds at each node of a Ray cluster about a build, as `ray_zero123_…`; all of it is the driver's."""

from collections.abc import Mapping
from typing import Any

PHASE_BOUNDARIES_S = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0]


class Meters:
    """The meters of one build. A rate is what Prometheus makes of a count: `rate(ray_zero123_objects_total[5m])`."""

    def __init__(self) -> None:
        from ray.util.metrics import Counter, Gauge, Histogram

        self._objects = Counter("zero123_objects", "Attempts that ended, by outcome", ("outcome",))
        self._losses = Counter("zero123_losses", "Attempts that ended with their worker or its node")
        self._seconds: Any = Histogram(
            "zero123_phase_seconds", "Seconds of one object in each phase", PHASE_BOUNDARIES_S, ("phase",)
        )
        self._gauges = {
            name: Gauge(f"zero123_{name}", told)
            for name, told in {
                "waiting": "Jobs in the queue",
                "in_flight": "Jobs that a worker is at",
                "workers": "Workers that are alive",
                "slots": "Workers that the cluster has room for",
            }.items()
        }

    def ended(self, outcome: str, seconds: Mapping[str, float]) -> None:
        """Count an attempt and its seconds by phase."""
        self._objects.inc(1.0, {"outcome": outcome})
        for phase, spent in seconds.items():
            self._seconds.observe(spent, {"phase": phase})

    def lost(self) -> None:
        """Count an attempt that nobody answered for."""
        self._losses.inc()

    def show(self, **levels: int) -> None:
        """Set the gauges: `waiting`, `in_flight`, `workers`, `slots`."""
        for name, level in levels.items():
            self._gauges[name].set(level)
