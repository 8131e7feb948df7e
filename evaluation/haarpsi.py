"""HaarPSI: how alike two pictures look, by their Haar wavelets (Reisenhofer et al. 2018, arXiv 1607.06140).

The coefficients of the two finer scales say how alike a place is, those of the third how much it counts. So a place
where neither picture has an edge counts nothing: the white around an object earns no likeness, as it does in PSNR and
SSIM. `C`, `ALPHA`, YIQ and the halved size are the paper's, for colour pictures with values in [0, 255].
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]

C, ALPHA = 30.0, 4.2
YIQ_FROM_RGB = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
MEAN, STEP = (0.5, 0.5), (-0.5, 0.5)


def haarpsi_distance(image: Image, true: Image) -> float:
    """1 − HaarPSI of two uint8 RGB pictures (H, W, 3), in [0, 1]: 0 for equal ones, the same either way round.

    Pictures go on beyond their borders as they end there. The authors' code has black there, and so an edge all around
    every view on white, which any two of them share. Where neither has an edge anywhere, all places count alike.
    """
    (luma_a, *chroma_a), (luma_b, *chroma_b) = _halved_yiq(image), _halved_yiq(true)
    alike, weights = [], []
    for axis in (0, 1):
        alike.append(np.mean([_alike(haar(luma_a, k, axis), haar(luma_b, k, axis)) for k in (1, 2)], axis=0))
        weights.append(np.maximum(haar(luma_a, 3, axis), haar(luma_b, 3, axis)))
    alike.append(np.mean([_alike(_mean(a), _mean(b)) for a, b in zip(chroma_a, chroma_b, strict=True)], axis=0))
    weights.append(np.mean(weights, axis=0))
    counts = np.array(weights) if np.any(weights) else np.ones_like(alike)
    mean = float(np.average(1.0 / (1.0 + np.exp(-ALPHA * np.array(alike))), weights=counts))
    return max(0.0, 1.0 - float(np.log(mean / (1.0 - mean)) / ALPHA) ** 2)


def haar(channel: Floats, scale: int, axis: int) -> Floats:
    """Magnitudes (H, W) of undecimated Haar coefficients: windows of 2^scale pixels, whose sign steps along `axis`."""
    half = 2 ** (scale - 1)
    return 2.0**scale * np.abs(_windowed(channel, np.repeat(STEP, half) / half, np.repeat(MEAN, half) / half, axis))


def _mean(channel: Floats) -> Floats:
    return np.abs(_windowed(channel, np.array(MEAN), np.array(MEAN), axis=0))


def _windowed(channel: Floats, along: Floats, across: Floats, axis: int) -> Floats:
    """Correlated with a window that is `along` the axis times `across` it, each pixel just before the middle."""
    done = correlate1d(channel, along, axis=axis, mode="nearest", origin=-1)
    return np.asarray(correlate1d(done, across, axis=1 - axis, mode="nearest", origin=-1))


def _alike(first: Floats, second: Floats) -> Floats:
    return (2.0 * first * second + C) / (first**2 + second**2 + C)


def _halved_yiq(image: Image) -> Floats:
    """YIQ (3, ⌈H/2⌉, ⌈W/2⌉) of RGB (H, W, 3), each value the mean of 2 × 2 pixels."""
    height, width = image.shape[:2]
    even = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge") @ YIQ_FROM_RGB.T
    return np.moveaxis(even.reshape(-(-height // 2), 2, -(-width // 2), 2, 3).mean(axis=(1, 3)), -1, 0)
