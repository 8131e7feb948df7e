"""Means over objects with their uncertainty: the bootstrap over objects, and paired differences."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from base.seeds import stable_rng

Floats = NDArray[np.float64]

DRAWS, SEED, CONFIDENCE = 10_000, 0, 0.95


@dataclass(frozen=True)
class Mean:
    """A mean over objects and its 95 % interval."""

    value: float
    low: float
    high: float
    objects: int


@dataclass(frozen=True)
class PairedDifference:
    """The mean difference to a reference on the same objects, its interval, and the number of better objects."""

    mean: Mean
    wins: int
    losses: int
    ties: int


def mean_over_objects(values: Floats) -> Mean:
    """Return the mean of values (N,) and its interval from 10,000 seeded bootstrap draws of N objects.

    The bounds are order statistics, so infinite values stay infinite. NaN for no objects.
    """
    if len(values) == 0:
        return Mean(float("nan"), float("nan"), float("nan"), 0)
    # Seeded by the count alone: the same figures always get the same interval.
    rng = stable_rng(SEED, "bootstrap", len(values))
    # Whole objects are drawn, not views: views of an object are not independent.
    drawn = values[rng.integers(0, len(values), (DRAWS, len(values)))]
    means = np.sort(drawn.mean(axis=1))
    outside = round(DRAWS * (1.0 - CONFIDENCE) / 2.0)
    return Mean(float(values.mean()), float(means[outside]), float(means[-1 - outside]), len(values))


def paired_difference(values: Floats, reference: Floats, *, higher_is_better: bool) -> PairedDifference:
    """Compare values (N,) with those of a reference on the same objects (N,). Equal infinite values are a tie."""
    with np.errstate(invalid="ignore"):
        # ∞ − ∞ is NaN, although two perfect answers are a tie.
        apart = np.where(values == reference, 0.0, values - reference)
    better = apart if higher_is_better else -apart
    wins, losses = int((better > 0).sum()), int((better < 0).sum())
    return PairedDifference(mean_over_objects(apart), wins, losses, len(values) - wins - losses)
