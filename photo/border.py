"""The cut-out without weights: GrabCut that starts from the colours along the picture's border.

Source: Rother, Kolmogorov, Blake, "GrabCut", SIGGRAPH 2004, as OpenCV has it.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from photo.settings import BorderSettings

Mask = NDArray[np.float32]
RIM, ITERATIONS = 0.04, 5


@dataclass(frozen=True)
class BorderCut:
    """The mask (H, W) in [0, 1], the object's own colours (H, W, 3), and how far the method trusts it, in [0, 1]."""

    mask: Mask
    rgb: NDArray[np.uint8]
    confidence: float


def cut_by_border(rgb: NDArray[np.uint8], settings: BorderSettings) -> BorderCut:
    """The object of an opaque picture (H, W, 3) before a background that reaches its border."""
    height, width = rgb.shape[:2]
    scale = min(1.0, settings.side_px / max(height, width))
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1.0 else rgb
    rim = max(2, round(RIM * max(small.shape[:2])))
    marks = np.full(small.shape[:2], cv2.GC_PR_FGD, np.uint8)
    marks[:rim], marks[-rim:], marks[:, :rim], marks[:, -rim:] = (cv2.GC_BGD,) * 4
    models = np.zeros((2, 1, 65), np.float64)
    cv2.setRNGSeed(0)
    cv2.grabCut(np.ascontiguousarray(small[..., ::-1]), marks, (0, 0, 1, 1), models[0], models[1], ITERATIONS)
    inside = np.isin(marks, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    mask = cv2.resize(inside, (width, height), interpolation=cv2.INTER_LINEAR)
    return BorderCut(mask.astype(np.float32), rgb, 1.0)
