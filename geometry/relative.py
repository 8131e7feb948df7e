"""Relative views: from the input camera c to the target camera t (arXiv 2303.11328, §3.1).

`R` (3, 3) and `T` (3,) are the rigid motion between the camera frames, `R = R_t R_cᵀ`, `T = t_t − R t_c`.
`pose` (4,) is the model's input: [polar_t − polar_c, sin Δazimuth, cos Δazimuth, radius_t − radius_c].
"""

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import ArrayLike, NDArray

from geometry.camera import camera_centre
from geometry.sphere import spherical_from_cartesian

Floats = NDArray[np.float64]
Motion = tuple[Float64[Floats, "*pairs 3 3"], Float64[Floats, "*pairs 3"]]


def relative_motion(input_from_world: ArrayLike, target_from_world: ArrayLike) -> Motion:
    """Return `R` (..., 3, 3) and `T` (..., 3) of cameras (..., 3, 4): x_target = R x_input + T in camera axes."""
    source = np.asarray(input_from_world, np.float64)
    target = np.asarray(target_from_world, np.float64)
    rotation = target[..., :3] @ np.swapaxes(source[..., :3], -1, -2)
    return rotation, target[..., 3] - np.einsum("...ij,...j->...i", rotation, source[..., 3])


def pose_vector(input_from_world: ArrayLike, target_from_world: ArrayLike) -> Float64[Floats, "*pairs 4"]:
    """Return the model's 4-vector (..., 4) for pairs of cameras (..., 3, 4)."""
    polar_c, azimuth_c, radius_c = spherical_from_cartesian(camera_centre(input_from_world))
    polar_t, azimuth_t, radius_t = spherical_from_cartesian(camera_centre(target_from_world))
    return pose_from_deltas(polar_t - polar_c, azimuth_t - azimuth_c, radius_t - radius_c)


def pose_from_deltas(polar_rad: ArrayLike, azimuth_rad: ArrayLike, radius: ArrayLike) -> Float64[Floats, "*moves 4"]:
    """Return the model's 4-vector (..., 4) for a camera move: positive polar is down, azimuth right, radius away."""
    polar_rad, azimuth_rad, radius = (np.asarray(value, np.float64) for value in (polar_rad, azimuth_rad, radius))
    # Sine and cosine are periodic, so an azimuth difference needs no wrapping to (−π, π].
    return np.stack(np.broadcast_arrays(polar_rad, np.sin(azimuth_rad), np.cos(azimuth_rad), radius), axis=-1)


def polar_angle(cam_from_world: ArrayLike) -> Floats:
    """Return the angle (...,) between +z and the position of cameras (..., 3, 4)."""
    return np.asarray(spherical_from_cartesian(camera_centre(cam_from_world))[0], np.float64)


def with_input_polar(pose: ArrayLike, polar_rad: ArrayLike) -> Floats:
    """Replace the last number of poses (..., 4) by the input camera's polar angle (...,), as Stable Zero123 does."""
    # A copy: `np.asarray` could write into the caller's poses.
    replaced = np.array(pose, np.float64)
    replaced[..., 3] = polar_rad
    return replaced


def ordered_pairs(
    views: ArrayLike,
) -> tuple[Int64[NDArray[np.int64], " P"], Int64[NDArray[np.int64], " P"]]:
    """Return every ordered pair of two of the `views` (V,), as (source, target), each (V·(V − 1),), source-major."""
    views = np.asarray(views, np.int64)
    source, target = np.nonzero(~np.eye(len(views), dtype=bool))
    return views[source], views[target]
