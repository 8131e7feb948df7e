"""Distances of two sets of pictures in a feature space: Fréchet distance (FID) and kernel distance (KID).

Features are (N, d), a row for each picture. FID: Heusel et al. 2017, arXiv 1706.08500. KID: Bińkowski et al. 2018,
arXiv 1801.01401. Both are called FID and KID only with the Inception network of those papers.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import sqrtm

from base.seeds import stable_rng

Floats = NDArray[np.float64]
Root = Literal["eigenvalues", "sqrtm"]
"""How the trace of the matrix root is taken: as in torch-fidelity, or as in clean-fid."""

KID_SUBSETS, KID_SUBSET = 100, 1000


@dataclass(frozen=True)
class Gaussian:
    """The mean (d,) and covariance (d, d) of some features, with N − 1 in its denominator."""

    mean: Floats
    covariance: Floats

    @classmethod
    def of(cls, features: Floats) -> "Gaussian":
        """Fit to features (N, d). Raises ValueError for fewer than two rows."""
        if len(features) < 2:
            raise ValueError(f"expected at least 2 pictures on each side, got {len(features)}")
        return cls(features.mean(axis=0), np.atleast_2d(np.cov(features, rowvar=False)))


def frechet_distance(first: Gaussian, second: Gaussian, root: Root = "eigenvalues") -> float:
    """Return |μ1 − μ2|² + tr Σ1 + tr Σ2 − 2 tr √(Σ1 Σ2)."""
    apart = float(np.square(first.mean - second.mean).sum())
    traces = float(np.trace(first.covariance) + np.trace(second.covariance))
    product = first.covariance @ second.covariance
    if root == "eigenvalues":
        # The trace of a root is the sum of the roots of the eigenvalues. Rounding can make small ones negative, so the
        # root is complex and its imaginary part dropped.
        trace = float(np.sqrt(np.linalg.eigvals(product).astype(np.complex128)).real.sum())
    else:
        trace = _trace_of_sqrtm(first.covariance, second.covariance)
    return apart + traces - 2.0 * trace


def kernel_distance(first: Floats, second: Floats, seed: int = 0) -> float:
    """Return the mean squared maximum mean discrepancy over seeded subsets, with the kernel (x·y / d + 1)³.

    The estimate is unbiased, so it may be negative. Subsets have at most 1,000 rows of each side.
    """
    size = min(len(first), len(second), KID_SUBSET)
    if size < 2:
        raise ValueError(f"expected at least 2 pictures on each side, got {size}")
    rng = stable_rng(seed, "kernel-distance")
    draws = [(rng.permutation(len(first))[:size], rng.permutation(len(second))[:size]) for _ in range(KID_SUBSETS)]
    return float(np.mean([_unbiased_mmd2(first[a], second[b]) for a, b in draws]))


def _unbiased_mmd2(x: Floats, y: Floats) -> float:
    n = len(x)
    kxx, kyy, kxy = _kernel(x, x), _kernel(y, y), _kernel(x, y)
    # Without the diagonal: a picture compared with itself would bias the estimate.
    within = (kxx.sum() - np.trace(kxx) + kyy.sum() - np.trace(kyy)) / (n * (n - 1))
    return float(within - 2.0 * kxy.mean())


def _kernel(x: Floats, y: Floats) -> Floats:
    return np.asarray((x @ y.T / x.shape[1] + 1.0) ** 3)


def _trace_of_sqrtm(first: Floats, second: Floats) -> float:
    found = np.asarray(sqrtm(first @ second))
    if not np.isfinite(found).all():
        # clean-fid adds this to singular products, and figures must agree with it.
        offset = np.eye(len(first)) * 1e-6
        found = np.asarray(sqrtm((first + offset) @ (second + offset)))
    return float(np.trace(found.real))
