"""How far apart two pictures are to a network that knows many things: by their CLIP embeddings."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from zero123.clip import ClipImages

Image = NDArray[np.uint8]
KEPT = 64
"""Vectors that are kept: a picture is compared with several others in a row."""


class ClipFeatures:
    """The feature space of one CLIP image encoder."""

    def __init__(self, encoder: ClipImages) -> None:
        self.encoder = encoder
        self._vector = lru_cache(KEPT)(self._seen)

    def distance(self, image: Image, true: Image) -> float:
        """1 − the cosine between the embeddings of two uint8 RGB pictures (H, W, 3), in [0, 2]; 0 for equal ones."""
        first, second = (self._vector(one.shape, one.tobytes()) for one in (image, true))
        return max(0.0, 1.0 - float(first @ second))

    def _seen(self, shape: tuple[int, ...], data: bytes) -> NDArray[np.float64]:
        return self.encoder.vector(np.frombuffer(data, np.uint8).reshape(shape))
