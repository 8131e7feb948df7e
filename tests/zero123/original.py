"""The original's golden numbers, and the weights and noise of the formula that they were made with.

tests/zero123/goldens/README.md describes both. Nothing of the original's code is needed.
"""

from binascii import crc32
from collections.abc import Iterable, Mapping
from math import prod, sqrt
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

FILE = Path(__file__).parent / "goldens" / "zero123_original.safetensors"
SHAPE = (2, 4, 32, 32)
CHUNK = 1 << 22


def goldens() -> dict[str, Tensor]:
    return load_file(FILE)


def hashed(key: int, count: int, first: int = 0) -> NDArray[np.float64]:
    """Numbers `first` … `first + count` of mean 0 and variance 1: splitmix64 of their index and a key."""
    with np.errstate(over="ignore"):
        x = np.arange(first, first + count, dtype=np.uint64) + np.uint64(key + 1) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return sqrt(3.0) * ((x >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0)


def noise(seed: int) -> Tensor:
    return torch.from_numpy(hashed(seed, prod(SHAPE)).astype(np.float32)).view(SHAPE)


def weight(name: str, shape: tuple[int, ...]) -> Tensor:
    """The tensor that the original's checkpoint calls `name`, made piece by piece to spare memory."""
    scale, shift = _scale_and_shift(name, shape)
    tensor = torch.empty(prod(shape))
    for first in range(0, len(tensor), CHUNK):
        piece = hashed(crc32(name.encode()), min(CHUNK, len(tensor) - first), first)
        tensor[first : first + len(piece)] = torch.from_numpy(shift + scale * piece)
    return tensor.view(shape)


def _scale_and_shift(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    if name.endswith("proj") and len(shape) == 2:
        return sqrt(1.0 / shape[0]), 0.0
    if "embedding" in name and len(shape) > 1:
        return 0.1, 0.0
    if len(shape) > 1:
        return sqrt(1.0 / prod(shape[1:])), 0.0
    if "embedding" in name:
        return 0.1, 0.0
    return (0.1, 1.0) if name.endswith("weight") else (0.05, 0.0)


def weights(shapes: Mapping[str, tuple[int, ...]] | Iterable[tuple[str, tuple[int, ...]]]) -> dict[str, Tensor]:
    return {name: weight(name, shape) for name, shape in dict(shapes).items()}
