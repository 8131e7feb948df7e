"""A run that is killed goes on where it was, and ends as if it had not been; its preview shows the object."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from base.errors import Failure
from base.progress import SILENT
from geometry.camera import PAPER_LENS
from reconstruct.checkpoint import Checkpoint, Preview
from reconstruct.field import VoxelField
from reconstruct.optimise import FieldRun, Watcher, optimise_field, prepare_input_view
from reconstruct.settings import ReconstructSettings, StageSettings
from reconstruct.viewpoints import draw_viewpoints
from tests.forked import run_forked
from tests.reconstruct.scenes import TrueViews, small_settings, sphere_rgba

HW = (24, 24)
KILLED_AFTER = 5  # in the second of the stages below


def short_settings() -> ReconstructSettings:
    stages = (StageSettings(resolution=8, steps=4), StageSettings(resolution=12, steps=5))
    return small_settings().model_copy(update={"stages": stages, "input_rays": 128})


def optimised(settings: ReconstructSettings, *watchers: Watcher) -> VoxelField:
    cameras = draw_viewpoints(3, 4, (1.5, 2.2))
    images = [sphere_rgba(camera, HW) for camera in cameras]
    view = prepare_input_view(images[0], cameras[0], settings)
    return optimise_field(view, cameras, TrueViews(images), settings, seed=5, progress=SILENT, watchers=watchers)


class Kill:
    """The end of the process by SIGKILL after a number of steps."""

    def begin(self, run: FieldRun) -> None:
        pass

    def after_step(self, run: FieldRun) -> None:
        if run.done == KILLED_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)


class FirstStep:
    """The number of steps that were done when a run began."""

    def begin(self, run: FieldRun) -> None:
        self.done = run.done

    def after_step(self, run: FieldRun) -> None:
        pass


def killed_run(path: str, optimiser: str) -> int:
    torch.set_num_threads(1)
    optimised(with_optimiser(optimiser), Checkpoint(Path(path), "request", every_s=0.0), Kill())
    return 0


def with_optimiser(name: str) -> ReconstructSettings:
    settings = short_settings()
    return settings.model_copy(update={"rates": settings.rates.model_copy(update={"optimiser": name})})


@pytest.mark.parametrize("optimiser", ["adam", "adamax"])
def test_a_killed_run_goes_on_and_ends_the_same(optimiser: str, tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    assert run_forked(killed_run, str(path), optimiser, timeout=300).returncode == -signal.SIGKILL
    start = FirstStep()
    resumed = optimised(with_optimiser(optimiser), Checkpoint(path, "request"), start)
    assert start.done == KILLED_AFTER
    whole = optimised(with_optimiser(optimiser))
    assert torch.equal(resumed.density, whole.density)
    assert torch.equal(resumed.colour, whole.colour)


def test_another_request_or_a_broken_file_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    settings = short_settings().model_copy(update={"stages": (StageSettings(resolution=8, steps=2),)})
    optimised(settings, Checkpoint(path, "request", every_s=0.0))
    start = FirstStep()
    optimised(settings, Checkpoint(path, "another"), start)
    assert start.done == 0
    path.write_bytes(path.read_bytes()[:100])
    optimised(settings, Checkpoint(path, "request"), start)
    assert start.done == 0


def test_the_preview_shows_the_object(tmp_path: Path) -> None:
    settings = short_settings().model_copy(update={"stages": (StageSettings(resolution=8, steps=6),)})
    optimised(settings, Preview(tmp_path / "preview.webp", PAPER_LENS, 1.9, 24, every_s=0.0))
    with Image.open(tmp_path / "preview.webp") as picture:
        pixels = np.asarray(picture.convert("RGBA")).astype(float)
    assert pixels.shape == (128, 3 * 128, 4)
    assert pixels[64, 64, 3] > pixels[2, 2, 3] + 50


def test_an_empty_field_and_no_number_end_the_run_early() -> None:
    settings = short_settings()
    mesh = settings.mesh.model_copy(update={"levels": (1e4,)})
    with pytest.raises(Failure, match=r"expected something solid after 4 steps, got an empty field \(densest"):
        optimised(settings.model_copy(update={"mesh": mesh}))
    weights = settings.weights.model_copy(update={"colour": float("inf")})
    with pytest.raises(Failure, match="expected a finite loss, got inf in step 1"):
        optimised(settings.model_copy(update={"weights": weights}))
    with pytest.raises(Failure, match="nowhere transparent"):
        prepare_input_view(np.full((8, 8, 4), 255, np.uint8), draw_viewpoints(0, 1, (1.5, 2.2))[0], settings)
