"""Pictures as metrics take them: RGB values in [0, 1], (H, W, 3), from RGBA bytes.

Protocols differ in two choices. The compositing is `blend`, colour · alpha + 1 − alpha, or `hard`, where a fully
transparent pixel turns white and all others keep their colour. The values are `float32`, `rounded` to bytes, or
`truncated` to bytes.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Bytes = NDArray[np.uint8]
Values = NDArray[np.floating]
Compositing = Literal["blend", "hard"]
Rounding = Literal["float32", "rounded", "truncated"]


def rgb_on_white(pixels: Bytes, compositing: Compositing = "blend", rounding: Rounding = "float32") -> Values:
    """Composite uint8 RGB or RGBA (H, W, 3 or 4) on white; values in [0, 1], (H, W, 3)."""
    values = pixels.astype(np.float32) / np.float32(255.0)
    if pixels.shape[-1] == 4:
        alpha = values[..., 3:]
        blended = values[..., :3] * alpha + (np.float32(1.0) - alpha)
        # `hard` is what EscherNet and others do: soft edges keep their full colour.
        values = blended if compositing == "blend" else np.where(alpha == 0.0, np.float32(1.0), values[..., :3])
    if rounding == "float32":
        return np.asarray(values, np.float32)
    scaled = values.astype(np.float64) * 255.0
    # The small number keeps whole bytes whole: 13 / 255 · 255 is a little less than 13 in float32.
    whole = np.round(scaled) if rounding == "rounded" else np.floor(scaled + 1e-4)
    return np.asarray(whole / 255.0, np.float64)


def to_bytes(values: Values) -> Bytes:
    """Round values in [0, 1] to bytes."""
    return np.asarray(np.clip(np.round(values.astype(np.float64) * 255.0), 0.0, 255.0), np.uint8)


def resize(pixels: Bytes, hw: tuple[int, int], kernel: Literal["bicubic", "bilinear"]) -> Bytes:
    """Resize bytes (H, W, C) as Pillow does, antialiased; RGBA with premultiplied colours."""
    if pixels.shape[:2] == hw:
        return pixels
    method = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}[kernel]
    return np.asarray(Image.fromarray(pixels).resize((hw[1], hw[0]), method))
