"""A server with a model that paints by formula, and pictures to bring to it."""

import io
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.settings import Settings, load_settings
from inference.sample_photo import LoadedModel
from web.app import make_app
from web.guard import LOOPBACK, Access
from web.service import ModelSource, Service
from zero123.settings import SampleSettings, SamplingSettings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HW = (24, 24)
ADDRESS = "http://127.0.0.1"


class Painter:
    """Stands in for a pipeline: the views depend on pose, seed and steps. Each batch waits for `gate`."""

    hw = HW

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.views, self.version = 0, 1
        self.defaults = SamplingSettings(
            guidance_scale=1.0, guidance_interval=(0.0, 1.0), steps=4, eta=0.0, sampler="ddim", timesteps="all"
        )
        self.unet = self.vae = self.image_encoder = self.cc_projection = _NoWeights()

    def adapt_poses(self, poses: np.ndarray, _: float | None) -> np.ndarray:
        return poses

    def batches(
        self,
        rgba: np.ndarray,
        poses: np.ndarray,
        *,
        seeds: Sequence[int],
        sampling: SamplingSettings,
        views_at_once: int,
    ) -> Iterator[np.ndarray]:
        for pose, seed in zip(poses, seeds, strict=True):
            assert self.gate.wait(30)
            self.views += 1
            rng = np.random.default_rng([seed % 2**31, int(abs(pose[1]) * 1e6), sampling.steps])
            picture = np.full((1, *HW, 3), 255, np.uint8)
            picture[:, 6:18, 6:18] = rng.integers(0, 200, (12, 12, 3))
            yield picture


class _NoWeights:
    def parameters(self) -> tuple[()]:
        return ()


@pytest.fixture(scope="session")
def settings() -> Settings:
    return load_settings(None)


@pytest.fixture
def painter() -> Painter:
    return Painter()


@pytest.fixture
def served(settings: Settings, painter: Painter, tmp_path: Path) -> Callable[..., TestClient]:
    """Make a client of a new server; `limits` are changed settings of `serve.limits`."""

    def make(access: Access | None = None, **limits: int) -> TestClient:
        serve = settings.serve.model_copy(update={"limits": settings.serve.limits.model_copy(update=limits)})
        source = ModelSource(["painter", "other"], _loader(painter), _sample_for(settings))
        service = Service(settings.model_copy(update={"serve": serve}), source, tmp_path / "served")
        return TestClient(make_app(service, access or Access((*LOOPBACK, "testserver"), None)), base_url=ADDRESS)

    return make


@pytest.fixture
def client(served: Callable[..., TestClient]) -> Iterator[TestClient]:
    with served() as made:
        yield made


def _loader(painter: Painter) -> Callable[[str], LoadedModel]:
    def load(name: str) -> LoadedModel:
        return LoadedModel(pipeline=painter, digest=f"{name} {painter.version}", source=name)  # type: ignore[arg-type]

    return load


def _sample_for(settings: Settings) -> Callable[[SamplingSettings], SampleSettings]:
    return lambda defaults: settings.sample.model_copy(update=defaults.model_dump())


def picture_bytes(kind: str = "PNG", side: int = 64, *, background: int = 235) -> bytes:
    """A red square on a plain wall."""
    pixels = np.full((side, side, 3), background, np.uint8)
    pixels[side // 4 : -side // 4, side // 4 : -side // 4] = (180, 40, 30)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def pixels_of(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture)


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """A browser for the tests of a module."""
    from tests.web.chromium import chromium

    with chromium() as made:
        yield made


@pytest.fixture
def shoot(tmp_path: Path) -> "Callable[[Page, str], None]":
    """Take a picture of the whole page."""
    from tests.web.chromium import photographer

    return photographer(tmp_path)
