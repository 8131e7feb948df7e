"""Distances of two point sets: Chamfer in its variants, F-score, normal consistency.

`to_true` (P,) holds the distance of each predicted point to the nearest true point, its mean is called accuracy.
`to_predicted` (T,) holds the distance of each true point to the nearest predicted point, its mean is completeness.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Nearest:
    """Distances both ways, and the indices of the nearest points."""

    to_true: Floats
    to_predicted: Floats
    true_index: Ints
    predicted_index: Ints


def nearest_points(predicted: Floats, true: Floats, norm: float = 2.0) -> Nearest:
    """Find nearest points both ways between sets (P, 3) and (T, 3), by the Euclidean norm or another p-norm."""
    to_true, true_index = cKDTree(true).query(predicted, p=norm)
    to_predicted, predicted_index = cKDTree(predicted).query(true, p=norm)
    return Nearest(to_true, to_predicted, np.asarray(true_index, np.int64), np.asarray(predicted_index, np.int64))


def chamfer_variants(found: Nearest) -> dict[str, float]:
    """Return every published reduction of the same distances by name.

    `mean` is half the sum of both means (SyncDreamer, EscherNet; Occupancy Networks' Chamfer-L1), `sum` their sum,
    `squared_sum` the sum of the mean squares (PyTorch3D's default), `squared_mean` half of it (Chamfer-L2).
    """
    accuracy, completeness = float(found.to_true.mean()), float(found.to_predicted.mean())
    squares = float(np.square(found.to_true).mean() + np.square(found.to_predicted).mean())
    return {
        "accuracy": accuracy,
        "completeness": completeness,
        "mean": (accuracy + completeness) / 2.0,
        "sum": accuracy + completeness,
        "squared_mean": squares / 2.0,
        "squared_sum": squares,
    }


def f_scores(found: Nearest, thresholds: Sequence[float]) -> dict[float, tuple[float, float, float]]:
    """Return (F, precision, recall) for each threshold d: the shares of points at most d away (What3D)."""
    scores = {}
    for threshold in thresholds:
        precision = float((found.to_true <= threshold).mean())
        recall = float((found.to_predicted <= threshold).mean())
        both = precision + recall
        # Without any near point both are 0, and so is F.
        scores[threshold] = (2.0 * precision * recall / both if both else 0.0, precision, recall)
    return scores


def normal_consistency(found: Nearest, predicted_normals: Floats, true_normals: Floats) -> float:
    """Return the mean |cosine| of the normals of nearest points, both ways (Occupancy Networks); in [0, 1]."""
    # Absolute: meshes of strangers may be inside out.
    one_way = np.abs((predicted_normals * true_normals[found.true_index]).sum(axis=1)).mean()
    other_way = np.abs((true_normals * predicted_normals[found.predicted_index]).sum(axis=1)).mean()
    return float((one_way + other_way) / 2.0)
