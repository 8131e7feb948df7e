"""A network from a user's file that maps a picture to features, the space of Fréchet and kernel distances.

A folder is a CLIP image encoder in transformers' layout. A file `NAME.onnx` is any network with the input (N, 3, H, W);
its outputs after the first are ignored, and features of more dimensions are flattened. `NAME.yaml` beside it describes
its input (`FeatureInput`); without it, the input is that of most networks trained on ImageNet.
"""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from base.data_files import read_data_file
from base.digest import digest_json, sha256_file
from base.errors import Failure, UsageError
from photo.networks import IMAGENET_MEAN, IMAGENET_STD
from photo.onnx import onnx_session

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]


class FeatureNetwork(Protocol):
    """Maps pictures to features. `name` appears in tables, `digest` is of the weights and the form of the input."""

    name: str
    digest: str

    def features(self, rgb: Pixels) -> Floats:
        """Return the features (d,) of a uint8 RGB picture (H, W, 3)."""


@dataclass(frozen=True, kw_only=True)
class FeatureInput:
    """How a picture becomes a network's input: resized to `side_px` squared, divided by 255, then (x − mean) / std.

    `side_px` is for networks with a free size.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    resize: Literal["bilinear", "bicubic"] = "bicubic"
    side_px: int = 224

    def __post_init__(self) -> None:
        if min(self.std) <= 0.0 or not 8 <= self.side_px <= 4096:
            raise ValueError("std above 0, and side_px from 8 to 4096")


def open_feature_network(path: Path) -> FeatureNetwork:
    """Open a CLIP folder or an ONNX file. Raises UsageError for any other path, Failure for damaged weights."""
    if path.is_dir():
        return _Clip(path)
    if path.suffix != ".onnx" or not path.is_file():
        raise UsageError(f"--features: expected a CLIP folder or an .onnx file that exists, got {str(path)!r}")
    return _Onnx(path)


class _Clip:
    """CLIP's embeddings, of length 1."""

    def __init__(self, folder: Path) -> None:
        import torch

        from zero123.clip import ClipImages

        self._encoder = ClipImages.from_folder(folder, torch.device("cpu"))
        self.name, self.digest = "clip", self._encoder.digest

    def features(self, rgb: Pixels) -> Floats:
        return self._encoder.vector(rgb)


class _Onnx:
    """The first output of a network in a file."""

    def __init__(self, path: Path) -> None:
        described = path.with_suffix(".yaml")
        self._input = read_data_file(FeatureInput, described) if described.is_file() else FeatureInput()
        self._path, self._session = path, onnx_session(path)
        shape = self._session.get_inputs()[0].shape
        if len(shape) != 4 or (isinstance(shape[1], int) and shape[1] != 3):
            raise UsageError(f"{path}: expected a network with input (N, 3, H, W), got input {shape}")
        # Networks with a free size name their sides instead of numbering them.
        self._hw = [side if isinstance(side, int) else self._input.side_px for side in shape[2:]]
        self.name = re.sub(r"[^A-Za-z0-9._-]", "-", path.stem)  # part of a metric's name, in tables of several formats
        # The same weights with another normalisation give other features.
        self.digest = digest_json([sha256_file(path), asdict(self._input)])

    def features(self, rgb: Pixels) -> Floats:
        kernel = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}[self._input.resize]
        picture = Image.fromarray(rgb).resize((self._hw[1], self._hw[0]), kernel)
        values = (np.asarray(picture) / 255.0 - self._input.mean) / self._input.std
        given = {self._session.get_inputs()[0].name: values.astype(np.float32).transpose(2, 0, 1)[None]}
        answer = np.asarray(self._session.run([self._session.get_outputs()[0].name], given)[0], np.float64).ravel()
        if not np.isfinite(answer).all():
            raise Failure(f"{self._path}: expected finite features, got NaN or infinity")
        return answer
