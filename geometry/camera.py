"""Pinhole cameras as `cam_from_world` matrices (3, 4) and a lens."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Lens:
    """A square-pixel pinhole lens; the sensor's width spans the image's longer edge, as Blender's AUTO fit has it."""

    focal_mm: float
    sensor_mm: float

    @property
    def fov_rad(self) -> float:
        """Return the angle across the longer image edge, in (0, π)."""
        return 2.0 * float(np.arctan(self.sensor_mm / (2.0 * self.focal_mm)))

    def focal_px(self, hw: tuple[int, int]) -> float:
        """Return the focal length in pixels for an image of `hw`."""
        return self.focal_mm / self.sensor_mm * max(hw)


@dataclass(frozen=True, kw_only=True)
class Orthographic:
    """A camera without perspective; `width` of the world, in its own units, spans the image's longer edge."""

    width: float

    def scale_px(self, hw: tuple[int, int]) -> float:
        """Return the pixels for each unit of the world in an image of `hw`."""
        return max(hw) / self.width


PAPER_LENS = Lens(focal_mm=35.0, sensor_mm=32.0)
"""35 mm on a 32 mm sensor, a field of view of 49.134° (arXiv 2303.11328, §4)."""


def look_at_origin(centre: ArrayLike) -> Float64[Floats, "3 4"]:
    """Return `cam_from_world` (3, 4) of an upright camera at `centre` (3,) looking at the origin.

    Exactly above or below the origin "upright" has no meaning; there the camera's right is +y, the limit from
    azimuth 0. Raises ValueError for a camera at the origin.
    """
    centre = np.asarray(centre, np.float64)
    distance = np.linalg.norm(centre)
    if distance == 0.0:
        raise ValueError("expected a camera away from the origin, got its centre at the origin")
    back = centre / distance
    horizontal = np.hypot(back[0], back[1])
    # Right is +z × back. Near a pole that product vanishes, and dividing by its length would amplify rounding errors.
    right = np.array([-back[1], back[0], 0.0]) / horizontal if horizontal > 1e-9 else np.array([0.0, 1.0, 0.0])
    # The rows of a rotation into the camera are the camera's axes in the world.
    rotation = np.stack([right, np.cross(back, right), back])
    return np.concatenate([rotation, (-rotation @ centre)[:, None]], axis=1)


def camera_centre(cam_from_world: ArrayLike) -> Float64[Floats, "*cameras 3"]:
    """Return the camera's position in the world, c = −Rᵀt; (..., 3, 4) → (..., 3)."""
    matrix = np.asarray(cam_from_world, np.float64)
    # `ji` reads R transposed, which is the inverse of a rotation.
    return np.asarray(-np.einsum("...ji,...j->...i", matrix[..., :3], matrix[..., 3]), np.float64)


def world_from_cam(cam_from_world: ArrayLike) -> Float64[Floats, "*cameras 3 4"]:
    """Invert the rigid transform; (..., 3, 4) → (..., 3, 4)."""
    matrix = np.asarray(cam_from_world, np.float64)
    rotation = np.swapaxes(matrix[..., :3], -1, -2)
    return np.concatenate([rotation, camera_centre(matrix)[..., None]], axis=-1)


def project(
    points: ArrayLike, cam_from_world: ArrayLike, lens: Lens | Orthographic, hw: tuple[int, int]
) -> Float64[Floats, "N 2"]:
    """Project world points (N, 3) into the image, as (N, 2) of x (right) and y (down) in pixels.

    Pixel (row, column) covers x in [column, column + 1). A point at or behind the camera gives NaN.
    """
    matrix = np.asarray(cam_from_world, np.float64)
    in_cam = np.asarray(points, np.float64) @ matrix[:, :3].T + matrix[:, 3]
    # The camera looks along −z: points in front of it have a negative z.
    depth = np.where(in_cam[:, 2] < 0.0, -in_cam[:, 2], np.nan)
    if isinstance(lens, Orthographic):
        # This scale does not depend on depth, so points behind the camera must be marked here.
        scale = lens.scale_px(hw) * np.where(np.isnan(depth), np.nan, 1.0)
    else:
        scale = lens.focal_px(hw) / depth
    x = hw[1] / 2.0 + scale * in_cam[:, 0]
    # Rows count downwards, the camera's y upwards.
    y = hw[0] / 2.0 - scale * in_cam[:, 1]
    return np.stack([x, y], axis=1)


def ray_directions(lens: Lens, hw: tuple[int, int]) -> Float64[Floats, "H W 3"]:
    """Return the direction through each pixel's centre in camera axes, scaled to z = −1; (H, W, 3)."""
    height, width = hw
    focal = lens.focal_px(hw)
    x = (np.arange(width) + 0.5 - width / 2.0) / focal
    y = -(np.arange(height) + 0.5 - height / 2.0) / focal
    return np.stack([*np.broadcast_arrays(x[None, :], y[:, None]), np.full(hw, -1.0)], axis=-1)
