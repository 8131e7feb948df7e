"""HaarPSI: perceptual similarity of two pictures by Haar wavelets (Reisenhofer et al. 2018, arXiv 1607.06140).

The coefficients of the two finer scales give each pixel's similarity, those of the third scale its weight. A pixel has
no weight where neither picture has an edge. So the white around an object adds no similarity, unlike in PSNR and SSIM.
`C`, `ALPHA`, YIQ and the halved size are the paper's, for colour pictures with values in [0, 255].
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]
Border = Literal["nearest", "constant"]
"""How a picture goes on beyond its border, in SciPy's words: its last pixel, or black."""

C, ALPHA = 30.0, 4.2
YIQ_FROM_RGB = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
MEAN, STEP = (0.5, 0.5), (-0.5, 0.5)


def haarpsi_distance(image: Image, true: Image) -> float:
    """Return 1 − the edge-padded HaarPSI of two uint8 RGB pictures (H, W, 3): in [0, 1], 0 if they are equal."""
    return max(0.0, 1.0 - haarpsi(image, true, edge_padded=True))


def haarpsi(image: Image, true: Image, *, edge_padded: bool = False) -> float:
    """Return the HaarPSI of two uint8 RGB pictures (H, W, 3): in [0, 1], 1 if they are equal, and symmetric.

    The authors' code pads with black, the standard convention. That puts the same edge around every view on white.
    With `edge_padded` the pictures are padded with their border pixels instead. If neither picture has an edge
    anywhere, all pixels have equal weight.
    """
    border: Border = "nearest" if edge_padded else "constant"
    (luma_a, *chroma_a), (luma_b, *chroma_b) = _halved_yiq(image, border), _halved_yiq(true, border)
    similarities, weights = [], []
    for axis in (0, 1):
        fine = [_similarity(haar(luma_a, k, axis, border), haar(luma_b, k, axis, border)) for k in (1, 2)]
        similarities.append(np.mean(fine, axis=0))
        weights.append(np.maximum(haar(luma_a, 3, axis, border), haar(luma_b, 3, axis, border)))
    colours = [_similarity(_mean(a, border), _mean(b, border)) for a, b in zip(chroma_a, chroma_b, strict=True)]
    similarities.append(np.mean(colours, axis=0))
    weights.append(np.mean(weights, axis=0))
    # Weights of zero everywhere would make the average 0 / 0.
    counts = np.array(weights) if np.any(weights) else np.ones_like(similarities)
    mean = float(np.average(1.0 / (1.0 + np.exp(-ALPHA * np.array(similarities))), weights=counts))
    # The logit undoes the logistic function; rounding can exceed 1 for equal pictures.
    return min(1.0, float(np.log(mean / (1.0 - mean)) / ALPHA) ** 2)


def haar(channel: Floats, scale: int, axis: int, border: Border = "nearest") -> Floats:
    """Return the magnitudes (H, W) of undecimated Haar coefficients: windows of 2^scale pixels, a step along `axis`."""
    half = 2 ** (scale - 1)
    along, across = np.repeat(STEP, half) / half, np.repeat(MEAN, half) / half
    return 2.0**scale * np.abs(_correlate(channel, along, across, axis, border))


def _mean(channel: Floats, border: Border) -> Floats:
    return np.abs(_correlate(channel, np.array(MEAN), np.array(MEAN), 0, border))


def _correlate(channel: Floats, along: Floats, across: Floats, axis: int, border: Border) -> Floats:
    """Correlate with the separable window `along` the axis times `across` it. The pixel is just before the middle."""
    first_pass = correlate1d(channel, along, axis=axis, mode=border, origin=-1)
    return np.asarray(correlate1d(first_pass, across, axis=1 - axis, mode=border, origin=-1))


def _similarity(first: Floats, second: Floats) -> Floats:
    return (2.0 * first * second + C) / (first**2 + second**2 + C)


def _halved_yiq(image: Image, border: Border) -> Floats:
    """Convert RGB (H, W, 3) to YIQ (3, ⌈H/2⌉, ⌈W/2⌉), averaged over 2 × 2 pixels."""
    height, width = image.shape[:2]
    # An odd side gets one more row or column, so that all windows of 2 × 2 are whole.
    odd = ((0, height % 2), (0, width % 2), (0, 0))
    even = np.pad(image, odd, mode="edge" if border == "nearest" else "constant") @ YIQ_FROM_RGB.T
    return np.moveaxis(even.reshape(-(-height // 2), 2, -(-width // 2), 2, 3).mean(axis=(1, 3)), -1, 0)
