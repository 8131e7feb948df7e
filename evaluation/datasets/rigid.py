"""Check that a matrix is a rotation and a shift."""

import numpy as np
from numpy.typing import NDArray

from base.errors import Failure

Floats = NDArray[np.float64]

ROUNDING = 2e-4
"""The greatest difference of RᵀR from the identity that counts as rounding."""


def check_rigid(matrix: Floats, what: str, rounding: float = ROUNDING) -> Floats:
    """Return a matrix (3, 4). Raises Failure, opening with `what`, for NaN, a scale, a shear or a mirror."""
    if matrix.shape != (3, 4) or not np.isfinite(matrix).all():
        raise Failure(f"{what}: expected finite numbers (3, 4), got {matrix.shape}")
    turn = matrix[:, :3]
    # A mirror passes the first test, and only its determinant of −1 shows it.
    if np.abs(turn.T @ turn - np.eye(3)).max() > rounding or np.linalg.det(turn) < 0.0:
        raise Failure(f"{what}: expected a rotation and a shift, got a scale, a shear or a mirror")
    return matrix
