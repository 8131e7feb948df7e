"""LPIPS v0.1 (Zhang et al., CVPR 2018, arXiv 1801.03924) from tensors: the trunks AlexNet and VGG16.

Features after ReLU are scaled to unit length at each pixel. Their squared difference is weighted by a linear head,
averaged over the picture, and summed over five depths.
"""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d, relu

from base.digest import sha256_file
from base.errors import UsageError
from zero123.tensors import check_finite, check_shapes, read_tensors, shapes_of

Values = NDArray[np.floating]
Trunk = Literal["alex", "vgg"]

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
LENGTH_EPSILON = 1e-10
KEPT = 3
"""Pictures with features in memory: about 30 MB each for VGG at 256 pixels."""
CHANNELS: dict[str, tuple[int, ...]] = {"alex": (64, 192, 384, 256, 256), "vgg": (64, 128, 256, 512, 512)}
ALEX = ((11, 4, 2), (5, 1, 2), (3, 1, 1), (3, 1, 1), (3, 1, 1))
"""Kernel, stride and padding of each convolution."""
VGG_BLOCKS = (2, 2, 3, 3, 3)
"""Convolutions of each block."""


class Lpips:
    """The distance over one trunk; `sha256` is that of the file with its weights."""

    def __init__(self, trunk: Trunk, tensors: dict[str, Tensor], sha256: str = "") -> None:
        self.trunk: Trunk = trunk
        self.sha256 = sha256
        layout = torch.channels_last if trunk == "vgg" else torch.contiguous_format  # the faster of the two
        count = len(ALEX) if trunk == "alex" else sum(VGG_BLOCKS)
        self._convolutions = [
            (tensors[f"trunk.{k}.weight"].float().contiguous(memory_format=layout), tensors[f"trunk.{k}.bias"].float())
            for k in range(count)
        ]
        self._kept: dict[tuple[tuple[int, ...], bytes, bool], list[Tensor]] = {}
        self._heads = [tensors[f"head.{k}.weight"].float().reshape(1, -1, 1, 1) for k in range(len(CHANNELS[trunk]))]

    @classmethod
    def from_folder(cls, folder: Path, trunk: Trunk) -> "Lpips":
        """Read `alex.safetensors` or `vgg.safetensors`. Raises UsageError without it, Failure for other tensors."""
        path = folder / f"{trunk}.safetensors"
        if not path.is_file():
            raise UsageError(f"{path}: expected the LPIPS weights of trunk {trunk}, got no such file")
        tensors = read_tensors(path)
        check_shapes(_shapes(trunk), shapes_of(tensors), where=str(path))
        check_finite(tensors, where=str(path))
        return cls(trunk, tensors, sha256_file(path))

    @torch.no_grad()
    def distance(self, image: Values, true: Values, *, scaled: bool = True) -> float:
        """Return the distance of two RGB pictures with values in [0, 1], (H, W, 3); 0 if they are equal.

        LPIPS expects values in [−1, 1]. With `scaled` false it gets [0, 1] instead, as in DietNeRF's evaluation.
        """
        pairs = zip(self._features(image, scaled=scaled), self._features(true, scaled=scaled), self._heads, strict=True)
        return float(sum(_tap_distance(first, second, head) for first, second, head in pairs))

    def _features(self, image: Values, *, scaled: bool) -> list[Tensor]:
        """Return unit features at five depths. Pictures in a row often share one side, so the last few are kept."""
        values = np.ascontiguousarray(image, np.float32)
        key = (values.shape, values.tobytes(), scaled)
        if key not in self._kept:
            pixels = torch.from_numpy(values).movedim(-1, 0)[None]
            self._kept[key] = [_unit(tap) for tap in self.taps(pixels * 2.0 - 1.0 if scaled else pixels)]
            # Dictionaries keep the order of insertion, so the first key is the oldest.
            while len(self._kept) > KEPT:
                del self._kept[next(iter(self._kept))]
        return self._kept[key]

    def taps(self, images: Tensor) -> list[Tensor]:
        """Return the features at five depths, (N, C, H', W'), of pictures (N, 3, H, W) with values in [−1, 1]."""
        shift, scale = (torch.tensor(values)[:, None, None] for values in (SHIFT, SCALE))
        features = (images - shift) / scale
        return self._alex_taps(features) if self.trunk == "alex" else self._vgg_taps(features)

    def _alex_taps(self, features: Tensor) -> list[Tensor]:
        taps = []
        for k, ((weight, bias), (_, stride, padding)) in enumerate(zip(self._convolutions, ALEX, strict=True)):
            # AlexNet pools only before its second and third convolution.
            features = max_pool2d(features, 3, 2) if k in (1, 2) else features
            features = relu(conv2d(features, weight, bias, stride, padding))
            taps.append(features)
        return taps

    def _vgg_taps(self, features: Tensor) -> list[Tensor]:
        taps, layers = [], iter(self._convolutions)
        features = features.contiguous(memory_format=torch.channels_last)
        for block, depth in enumerate(VGG_BLOCKS):
            features = max_pool2d(features, 2) if block else features
            for _ in range(depth):
                features = relu(conv2d(features, *next(layers), padding=1))
            taps.append(features)
        return taps


def _tap_distance(first: Tensor, second: Tensor, head: Tensor) -> float:
    # Summed in float64: many small terms lose digits in float32.
    return float((head * (first - second).square()).sum(1, dtype=torch.float64).mean())


def _unit(features: Tensor) -> Tensor:
    # The small number is LPIPS's own and keeps black pixels finite.
    return features / (features.square().sum(1, keepdim=True).sqrt() + LENGTH_EPSILON)


def _shapes(trunk: str) -> dict[str, tuple[int, ...]]:
    channels, shapes, before = CHANNELS[trunk], dict[str, tuple[int, ...]](), 3
    kernels = [kernel for kernel, _, _ in ALEX] if trunk == "alex" else [3] * sum(VGG_BLOCKS)
    widths = (
        list(channels) if trunk == "alex" else [c for c, n in zip(channels, VGG_BLOCKS, strict=True) for _ in range(n)]
    )
    for k, (width, kernel) in enumerate(zip(widths, kernels, strict=True)):
        shapes |= {f"trunk.{k}.weight": (width, before, kernel, kernel), f"trunk.{k}.bias": (width,)}
        before = width
    return shapes | {f"head.{k}.weight": (1, width, 1, 1) for k, width in enumerate(channels)}
