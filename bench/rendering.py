"""A renderer whose cost is counted: CPU-seconds of all its processes, wall seconds, and seconds by phase."""

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
    """A Blender child, or where `fresh` a new one for each object; what it cost is known once it is closed."""

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
        with self._counted():
            self._child.close()

    def render(self, path: Path, folder: Path, seed: int) -> dict[str, float]:
        """Render one object; wall seconds by phase. Raises Failure for an object that cannot be rendered."""
        with self._counted():
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
        """CPU and wall seconds of one view where each object has `views` of them.

        Where fewer were rendered, the share of the time that came once for each object is spread over `views`.
        """
        once = sum(self.seconds[phase] for phase in ONCE) / sum(self.seconds.values())
        weight = (once / views + (1.0 - once) / self.settings.views) / self.objects
        return {"cpu_s": self.cpu_s * weight, "wall_s": self.wall_s * weight}

    def per_object(self) -> dict[str, float]:
        """Mean wall seconds of an object by phase, for the views that were rendered."""
        return {phase: value / self.objects for phase, value in self.seconds.items()}

    @contextmanager
    def _counted(self) -> Iterator[None]:
        cpu, wall = _cpu_s(), time.monotonic()
        yield
        self.cpu_s += _cpu_s() - cpu
        self.wall_s += time.monotonic() - wall


def _cpu_s() -> float:
    """CPU-seconds of this process and of all children that it has waited for."""
    return sum(os.times()[:4])
