"""A renderer with measured cost: CPU-seconds of all its processes, wall seconds, and seconds by phase."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from base.errors import Failure
from base.outcomes import Outcome
from render.child import RenderChild
from render.phases import PHASES
from render.run import render_views
from render.settings import RenderSettings

ONCE = ("start", "import", "normalise", "build")
"""Phases whose cost does not grow with the number of views."""


class CountedRenderer:
    """A Blender child, or with `fresh` a new child for each object. Its cost is known after it is closed."""

    def __init__(self, settings: RenderSettings, *, fresh: bool) -> None:
        self.settings = settings
        self.fresh = fresh
        self.cpu_s = self.wall_s = 0.0
        self.objects = 0
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self._child = RenderChild(settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._count():
            # A child's CPU seconds are counted when it has ended.
            self._child.close()

    def render(self, path: Path, folder: Path, seed: int) -> dict[str, float]:
        """Render an object and return wall seconds by phase. Raises Failure when it cannot be rendered."""
        with self._count():
            result = render_views(self._child, path, path.stem, self.settings, seed, folder)
            if self.fresh:
                self._child.close()
        if result.outcome is not Outcome.OK:
            raise Failure(f"{path}: expected views, got {result.outcome}: {result.reason}")
        self.objects += 1
        for phase, value in result.seconds.items():
            self.seconds[phase] += value
        return result.seconds

    def per_view(self, views: int) -> dict[str, float]:
        """Return CPU and wall seconds per view for objects with `views` views each.

        If fewer were rendered, the share of time spent once per object is spread over `views`.
        """
        once = sum(self.seconds[phase] for phase in ONCE) / sum(self.seconds.values())
        # Start and import are paid once for an object, sampling for each view.
        weight = (once / views + (1.0 - once) / self.settings.views) / self.objects
        return {"cpu_s": self.cpu_s * weight, "wall_s": self.wall_s * weight}

    def per_object(self) -> dict[str, float]:
        """Return the mean wall seconds per object by phase, for the rendered views."""
        return {phase: value / self.objects for phase, value in self.seconds.items()}

    @contextmanager
    def _count(self) -> Iterator[None]:
        cpu, wall = _cpu_s(), time.monotonic()
        yield
        self.cpu_s += _cpu_s() - cpu
        self.wall_s += time.monotonic() - wall


def _cpu_s() -> float:
    """Return CPU-seconds of this process and of all children it has waited for."""
    return sum(os.times()[:4])
