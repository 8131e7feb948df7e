"""The distance of two pictures in the feature space of a CLIP image encoder."""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from zero123.clip import ClipImages

Image = NDArray[np.uint8]
KEPT = 64
"""The number of vectors in memory. A picture is compared with several others in a row."""


class ClipFeatures:
    """The feature space of a CLIP image encoder."""

    def __init__(self, encoder: "ClipImages") -> None:
        self.encoder = encoder
        self._vector = lru_cache(KEPT)(self._encode)

    def distance(self, image: Image, true: Image) -> float:
        """Return 1 − cosine of the embeddings of two uint8 RGB pictures (H, W, 3): in [0, 2], 0 if they are equal."""
        # Arrays cannot be keys of a cache, bytes can.
        first, second = (self._vector(picture.shape, picture.tobytes()) for picture in (image, true))
        # Rounding can push the cosine of equal vectors above 1.
        return max(0.0, 1.0 - float(first @ second))

    def _encode(self, shape: tuple[int, ...], data: bytes) -> NDArray[np.float64]:
        return self.encoder.vector(np.frombuffer(data, np.uint8).reshape(shape))
