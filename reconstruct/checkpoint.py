"""Watchers of a run: a checkpoint to resume from, and a picture of the growing object."""

import time
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from base.storage import write_atomically
from geometry.camera import Lens
from reconstruct.field_views import field_views
from reconstruct.optimise import FieldRun
from reconstruct.viewpoints import orbit
from report.images import encode_image

SAVED_EVERY_S = 15.0
"""A killed run loses this much work and a step at most."""
SHOWN_EVERY_S = 10.0
PREVIEW_HW = (128, 128)
PREVIEW_SIDES = 3
PREVIEW_ELEVATION_DEG = 20.0


class Checkpoint:
    """The state of a run in a file, written every few seconds; a later run of the same `request` starts from it."""

    def __init__(self, path: Path, request: str, every_s: float = SAVED_EVERY_S) -> None:
        self.path, self.request, self.every_s = path, request, every_s
        # Monotonic: a clock set back must not stop the saving.
        self.written = time.monotonic()

    def begin(self, run: FieldRun) -> None:
        """Restore the run from the file, if it holds a state of the same request."""
        try:
            with safe_open(self.path, framework="pt") as kept:
                if (kept.metadata() or {}).get("request") == self.request:
                    run.restore({name: kept.get_tensor(name) for name in kept.keys()})  # noqa: SIM118 (no dict)
        except (FileNotFoundError, SafetensorError):  # never written, or not by this program
            return

    def after_step(self, run: FieldRun) -> None:
        """Write the state, if the last is old enough."""
        if time.monotonic() - self.written >= self.every_s:
            write_atomically(self.path, save(run.state(), metadata={"request": self.request}))
            self.written = time.monotonic()


class Preview:
    """A picture of the field from a few sides, written every few seconds."""

    def __init__(self, path: Path, lens: Lens, radius: float, samples: int, every_s: float = SHOWN_EVERY_S) -> None:
        self.path, self.lens, self.samples, self.every_s = path, lens, samples, every_s
        self.cameras = orbit(PREVIEW_SIDES, PREVIEW_ELEVATION_DEG, radius)
        self.written = time.monotonic()

    def begin(self, run: FieldRun) -> None:
        """Do nothing: there is nothing to see yet."""

    def after_step(self, run: FieldRun) -> None:
        """Draw the field, if the last picture is old enough."""
        if time.monotonic() - self.written >= self.every_s:
            views = field_views(run.field, self.cameras, self.lens, PREVIEW_HW, self.samples)
            row = np.concatenate(list((views * 255.0).round().astype(np.uint8)), axis=1)
            write_atomically(self.path, encode_image(Image.fromarray(row), "webp", quality=80))
            self.written = time.monotonic()
