"""HaarPSI: perceptual similarity of two pictures by Haar wavelets (Reisenhofer et al. 2018, arXiv 1607.06140).

The coefficients of the two finer scales give each pixel's similarity, those of the third scale its weight. A pixel has
no weight where neither picture has an edge. So the white around an object adds no similarity, unlike in PSNR and SSIM.
`C`, `ALPHA`, YIQ and the halved size are the paper's, for colour pictures with values in [0, 255].
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
    """Return 1 − HaarPSI of two uint8 RGB pictures (H, W, 3): in [0, 1], 0 if they are equal, and symmetric.

    Pictures are padded with their border pixels. The authors' code pads with black. That would put the same edge around
    every view on white. If neither picture has an edge anywhere, all pixels have equal weight.
    """
    (luma_a, *chroma_a), (luma_b, *chroma_b) = _halved_yiq(image), _halved_yiq(true)
    similarities, weights = [], []
    for axis in (0, 1):
        similarities.append(
            np.mean([_similarity(haar(luma_a, k, axis), haar(luma_b, k, axis)) for k in (1, 2)], axis=0)
        )
        weights.append(np.maximum(haar(luma_a, 3, axis), haar(luma_b, 3, axis)))
    similarities.append(
        np.mean([_similarity(_mean(a), _mean(b)) for a, b in zip(chroma_a, chroma_b, strict=True)], axis=0)
    )
    weights.append(np.mean(weights, axis=0))
    counts = np.array(weights) if np.any(weights) else np.ones_like(similarities)
    mean = float(np.average(1.0 / (1.0 + np.exp(-ALPHA * np.array(similarities))), weights=counts))
    return max(0.0, 1.0 - float(np.log(mean / (1.0 - mean)) / ALPHA) ** 2)


def haar(channel: Floats, scale: int, axis: int) -> Floats:
    """Return the magnitudes (H, W) of undecimated Haar coefficients: windows of 2^scale pixels, a step along `axis`."""
    half = 2 ** (scale - 1)
    return 2.0**scale * np.abs(_correlate(channel, np.repeat(STEP, half) / half, np.repeat(MEAN, half) / half, axis))


def _mean(channel: Floats) -> Floats:
    return np.abs(_correlate(channel, np.array(MEAN), np.array(MEAN), axis=0))


def _correlate(channel: Floats, along: Floats, across: Floats, axis: int) -> Floats:
    """Correlate with the separable window `along` the axis times `across` it. The pixel is just before the middle."""
    first_pass = correlate1d(channel, along, axis=axis, mode="nearest", origin=-1)
    return np.asarray(correlate1d(first_pass, across, axis=1 - axis, mode="nearest", origin=-1))


def _similarity(first: Floats, second: Floats) -> Floats:
    return (2.0 * first * second + C) / (first**2 + second**2 + C)


def _halved_yiq(image: Image) -> Floats:
    """Convert RGB (H, W, 3) to YIQ (3, ⌈H/2⌉, ⌈W/2⌉), averaged over 2 × 2 pixels."""
    height, width = image.shape[:2]
    even = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge") @ YIQ_FROM_RGB.T
    return np.moveaxis(even.reshape(-(-height // 2), 2, -(-width // 2), 2, 3).mean(axis=(1, 3)), -1, 0)
