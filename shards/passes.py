"""Decode the passes of a view from a shard, with checks of type and size."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from base.passes import PASS_FILES
from shards.arrays import read_npy
from shards.image import BadImage

DTYPES = {"depth": np.float32, "normal_camera": np.float16, "normal_world": np.float16}
MODES = {"albedo": "RGB", "mask": "L"}


def decode_pass(name: str, data: bytes, hw: tuple[int, ...]) -> NDArray[Any]:
    """Decode pass `name` of a view of `hw` pixels, as described in `base.passes`. Raises BadArray or BadImage."""
    if name in DTYPES:
        return read_npy(data, hw if name == "depth" else (*hw, 3), DTYPES[name])
    kind = PASS_FILES[name].rpartition(".")[2].upper()
    try:
        image = Image.open(io.BytesIO(data), formats=[kind])
        # Before the pixels are decoded: a small file can unpack to gigabytes.
        if (image.height, image.width) != tuple(hw) or image.mode != MODES[name]:
            raise BadImage(
                f"expected {MODES[name]} of {hw[0]}×{hw[1]}, got {image.mode} of {image.height}×{image.width}"
            )
        return np.asarray(image)
    except UnidentifiedImageError:
        raise BadImage(f"expected a {kind} image, got {len(data)} bytes of something else") from None
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadImage(f"expected a whole {kind} image, got: {error}") from None
