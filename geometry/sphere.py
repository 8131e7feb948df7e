"""Points on the sphere around an object: spherical coordinates and evenly distributed, seeded draws.

`polar` in [0, π] from +z, `azimuth` in [0, 2π) from +x towards +y, `radius` in units of the object's longest edge.
"""

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

BLOCK = 12
"""Views are stratified in blocks of this many; more views later keep the earlier blocks."""


def spherical_from_cartesian(
    points: ArrayLike,
) -> tuple[Float64[Floats, "*points"], Float64[Floats, "*points"], Float64[Floats, "*points"]]:
    """Return (polar, azimuth, radius) of points (..., 3); the azimuth of a pole is 0."""
    # numpy computes angles of strided and of contiguous arrays with different last bits. Always take the
    # contiguous way: a point's angles must not depend on its neighbours in memory.
    x, y, z = np.ascontiguousarray(np.moveaxis(np.asarray(points, np.float64), -1, 0))
    horizontal = np.hypot(x, y)
    # Exact near the poles too, where arccos(z / radius) loses half its digits.
    polar = np.arctan2(horizontal, z)
    azimuth = np.mod(np.arctan2(y, x), 2.0 * np.pi)
    # Of a single point numpy makes scalars, which are no arrays.
    return np.asarray(polar), np.where(horizontal > 0.0, azimuth, 0.0), np.asarray(np.hypot(horizontal, z))


def cartesian_from_spherical(polar: ArrayLike, azimuth: ArrayLike, radius: ArrayLike) -> Float64[Floats, "*points 3"]:
    """Return points (..., 3) at the given spherical coordinates."""
    polar, azimuth, radius = (np.asarray(value, np.float64) for value in (polar, azimuth, radius))
    unit = np.stack(
        np.broadcast_arrays(np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)), axis=-1
    )
    return np.asarray(unit * radius[..., None], np.float64)


def stratified_block(rng: np.random.Generator) -> Float64[Floats, "block 3"]:
    """Draw BLOCK points on the unit sphere, (BLOCK, 3): each alone is uniform, together they cover the sphere.

    Height and azimuth are each cut into BLOCK equal parts; every part holds a single point (a Latin hypercube).
    A height uniform in [−1, 1] with a uniform azimuth is uniform by area (Archimedes).
    """
    height = (rng.permutation(BLOCK) + rng.random(BLOCK)) / BLOCK * 2.0 - 1.0
    azimuth = (rng.permutation(BLOCK) + rng.random(BLOCK)) / BLOCK * 2.0 * np.pi
    return cartesian_from_spherical(np.arccos(height), azimuth, 1.0)


def cube_normalised(rng: np.random.Generator, count: int) -> Float64[Floats, "{count} 3"]:
    """Draw directions (count, 3) as the original does: uniform in a cube, then normalised.

    Not uniform on the sphere: cube diagonals are 3.6 times as dense as axes. Kept for the `legacy` preset.
    """
    points = rng.uniform(-1.0, 1.0, (count, 3))
    return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True), np.float64)


def angle_deg(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return the angle between two directions from the origin, in degrees."""
    cosine = first @ second / (np.linalg.norm(first) * np.linalg.norm(second))
    # Rounding can push the cosine of parallel directions beyond 1, where the arccosine is NaN.
    return float(np.rad2deg(np.arccos(np.clip(cosine, -1.0, 1.0))).round(6))
