"""Pictures that are made in tests, and the shipped settings."""

import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from base.settings import Layer, read_yaml, validate
from photo.settings import PhotoSettings

ROOT = Path(__file__).parents[2]
Pixels = NDArray[np.uint8]


@cache
def shipped() -> dict[str, Any]:
    """Section `photo` of pipeline.yaml."""
    section: dict[str, Any] = read_yaml(ROOT / "pipeline.yaml")["metadata"]["pipeline"]["photo"]
    return section


def settings(**changes: Any) -> PhotoSettings:
    """The shipped settings with some values laid over them."""
    return validate(PhotoSettings, Layer("pipeline.yaml", shipped()), Layer("test", changes))


def noise(hw: tuple[int, int], channels: int = 3, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (*hw, channels), np.uint8)


def smooth(hw: tuple[int, int]) -> Pixels:
    """A picture that survives lossy files: three slow ramps, RGB."""
    rows, columns = np.mgrid[0 : hw[0], 0 : hw[1]]
    return np.stack([60 + rows * 120 // hw[0], 60 + columns * 120 // hw[1], 180 - rows * 90 // hw[0]], -1).astype(
        np.uint8
    )


def disc(hw: tuple[int, int], centre: tuple[float, float], radius: float) -> NDArray[np.bool_]:
    """True inside a disc; `centre` is (row, column)."""
    rows, columns = np.mgrid[0 : hw[0], 0 : hw[1]]
    inside: NDArray[np.bool_] = np.hypot(rows + 0.5 - centre[0], columns + 0.5 - centre[1]) < radius
    return inside


def cut_out_disc(hw: tuple[int, int], centre: tuple[float, float], radius: float) -> Pixels:
    """A red disc on nothing, RGBA."""
    rgba = np.zeros((*hw, 4), np.uint8)
    rgba[disc(hw, centre, radius)] = (200, 40, 40, 255)
    return rgba


def saved(path: Path, pixels: Pixels, **options: Any) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def file_bytes(picture: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()
