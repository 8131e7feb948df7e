"""Render an object: the steps from an empty scene to finished views."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from render.blender.camera import add_camera, place
from render.blender.device import use_device
from render.blender.finish import finish_model
from render.blender.floats import last_is_finite
from render.blender.importing import import_model
from render.blender.lights import add_lights
from render.blender.passes import prepare_passes, shoot_passes, write_passes
from render.blender.refusal import Refusal
from render.blender.scene import apply_render_settings, make_empty_scene
from render.blender.shoot import shoot
from render.blender.view import finish_view
from render.blender.window import Windows
from render.job import Outcome, RenderJob, RenderResult, ViewFacts, view_name

SENTENCE_LENGTH = 300


def sentence(error: Exception) -> str:
    """Describe an exception in a line. If its message is a traceback from Blender, only the last error is used."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if any(line.startswith("Traceback") or "Traceback (most" in line for line in lines):
        lines = [line for line in lines if re.match(r"[A-Za-z_.]+(Error|Exception)\b", line)][-1:] or lines[-1:]
    return " ".join(lines)[:SENTENCE_LENGTH] or type(error).__name__


class ObjectRender:
    """Renders one job. `begin` is called with each phase before it starts."""

    def __init__(
        self, job: RenderJob, device: dict[str, str], versions: dict[str, str], begin: Callable[[str], None]
    ) -> None:
        self.job = job
        self.begin = begin
        self.phase = "import"
        self.seconds: dict[str, float] = {}
        self.views: list[ViewFacts] = []
        self.found: dict[str, Any] = {"device": device, "versions": versions, "lights": job.lights}

    def result(self) -> RenderResult:
        """Render the job. Every Python exception becomes an outcome."""
        try:
            self._work()
            outcome, reason = Outcome.OK, ""
        except Refusal as refusal:
            outcome, reason = refusal.outcome, str(refusal)
            if refusal.missing_pictures:
                self.found["missing_pictures"] = refusal.missing_pictures
        except MemoryError:
            outcome, reason = Outcome.OUT_OF_MEMORY, "Blender could not get the memory it asked for"
        except Exception as error:  # noqa: BLE001 - a model may make any part of an importer fail in any way
            outcome = Outcome.IMPORT_ERROR if self.phase == "import" else Outcome.RENDER_ERROR
            reason = f"Blender failed: {sentence(error)}"
        seconds = {name: round(value, 4) for name, value in self.seconds.items()}
        return RenderResult(
            outcome=outcome, reason=reason, phase=self.phase, views=self.views, seconds=seconds, **self.found
        )

    def _work(self) -> None:
        settings = self.job.settings
        with self._timed("import"):
            scene = make_empty_scene()
            imported = import_model(self.job)
            self.found["missing_pictures"] = imported.missing
        with self._timed("normalise"):
            self.found["normalisation"], facts = finish_model(scene, self.job)
            self.found["checks"] = asdict(replace(facts, other_frame=imported.other_frame))
        with self._timed("prepare"):
            add_lights(scene, self.job.lights, settings["lights"][settings["light"]]["maps"])
            camera = add_camera(scene, settings["lens"])
            # After the model: an importer may change render settings of the scene.
            apply_render_settings(scene, settings)
            use_device(self.found["device"])
            # From the final places of all corners; nothing moves after this.
            windows = Windows(settings)
        folder = Path(self.job.out_dir)
        scratch = folder.parent / "view.image"
        for view in self.job.views:
            with self._timed("view"):
                extrinsics = np.array(self.job.extrinsics[view])
                place(camera, extrinsics)
                picture = shoot(scene, scratch, windows.of(extrinsics))
                is_finite = last_is_finite(scene, scratch)
            with self._timed("encode"):
                path = folder / view_name(view)
                self.views.append(finish_view(picture, path, view, settings, is_finite=is_finite))
        if settings["passes"]:
            self._passes(scene, camera, scratch)
        # At the end, not at the next job: the memory of a large model is free while the worker waits.
        bpy.ops.wm.read_factory_settings(use_empty=True)

    def _passes(self, scene: bpy.types.Scene, camera: bpy.types.Object, scratch: Path) -> None:
        """Render the passes, after all pictures: preparing the scene for passes would change a picture."""
        prepare_passes(scene)
        for view in self.job.views:
            with self._timed("view"):
                extrinsics = np.array(self.job.extrinsics[view])
                place(camera, extrinsics)
                found = shoot_passes(scene, scratch, extrinsics)
            with self._timed("encode"):
                write_passes(found, self.job.settings["passes"], Path(self.job.out_dir), view)

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        self.phase = phase
        self.begin(phase)
        started = time.perf_counter()
        try:
            yield
        finally:
            # A phase like `view` comes once for each view, and its times add up.
            self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - started
