"""A mask from a person or another program, beside its picture."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from base.errors import UsageError
from photo.read import decode
from photo.settings import LimitSettings
from photo.source import read_bytes

Mask = NDArray[np.float32]
MIDDLE = 127


def read_mask(path: Path, hw: tuple[int, int], limits: LimitSettings) -> Mask:
    """The mask (H, W) in [0, 1] in a picture file: its alpha if it has any, else its brightness; white is the object.

    Raises UsageError for a file other than a picture, of another shape than `hw`, or without an object.
    """
    return mask_of_bytes(str(path), read_bytes(path, limits), hw, limits)


def mask_of_bytes(name: str, data: bytes, hw: tuple[int, int], limits: LimitSettings) -> Mask:
    """As `read_mask`, for the bytes of a file; `name` is for the errors."""
    rgba, _ = decode(name, data, limits)
    has_alpha = (rgba[..., 3] <= MIDDLE).any()
    levels = rgba[..., 3] if has_alpha else np.asarray(Image.fromarray(rgba).convert("L"))
    height, width = levels.shape
    # Only the proportions must match, up to a pixel of rounding: a mask may be smaller than its picture.
    if abs(height * hw[1] - width * hw[0]) > max(hw):
        raise UsageError(f"{name}: expected a mask of the picture's shape, {hw[1]} × {hw[0]}, got {width} × {height}")
    if (height, width) != hw:
        levels = np.asarray(Image.fromarray(levels).resize((hw[1], hw[0]), Image.Resampling.BILINEAR))
    if not (levels > MIDDLE).any():
        raise UsageError(f"{name}: expected a mask, white on the object, got a mask without an object")
    return (levels / 255.0).astype(np.float32)
