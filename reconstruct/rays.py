"""Rays through the pixels of a camera, in torch.

`origins` and `directions` are (N, 3) in the world. Directions have length 1, so distances along a ray are in world
units. Pixels run row by row. Matrices and lenses are those of `geometry.camera`.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike
from torch import Tensor

from geometry.camera import Lens, camera_centre, ray_directions


@dataclass(frozen=True)
class Rays:
    """`origins` (N, 3) and unit `directions` (N, 3)."""

    origins: Float[Tensor, "N 3"]
    directions: Float[Tensor, "N 3"]

    def __len__(self) -> int:
        return len(self.origins)

    def __getitem__(self, rows: Tensor | slice) -> "Rays":
        return Rays(self.origins[rows], self.directions[rows])


def camera_rays(cam_from_world: ArrayLike, lens: Lens, hw: tuple[int, int], device: str = "cpu") -> Rays:
    """Return the H·W rays through the pixel centres of a camera (3, 4), row by row."""
    matrix = np.asarray(cam_from_world, np.float64)
    directions = ray_directions(lens, hw).reshape(-1, 3) @ matrix[:, :3]
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    origins = np.broadcast_to(camera_centre(matrix), directions.shape).copy()
    return Rays(
        torch.from_numpy(origins).to(device, torch.float32), torch.from_numpy(directions).to(device, torch.float32)
    )


def join_rays(several: list[Rays]) -> Rays:
    """Concatenate the rays in order."""
    return Rays(torch.cat([r.origins for r in several]), torch.cat([r.directions for r in several]))


def box_span(rays: Rays, half_extent: float) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
    """Return the distances (N,) and (N,) at which each ray enters and leaves the cube [−half_extent, half_extent]³.

    The slab method: a ray is inside while it is between all three pairs of faces. Rays that miss the cube get two equal
    distances, an empty span. Nothing behind the origin counts.
    """
    # A direction of exactly 0 and an origin on a face of the cube would give 0 / 0.
    safe = torch.where(rays.directions.abs() < 1e-9, torch.full_like(rays.directions, 1e-9), rays.directions)
    first = (-half_extent - rays.origins) / safe
    second = (half_extent - rays.origins) / safe
    near = torch.minimum(first, second).amax(1).clamp(min=0.0)
    far = torch.maximum(first, second).amin(1)
    return near, torch.maximum(near, far)


def project_points(
    points: Float[Tensor, "N 3"], cam_from_world: Float[Tensor, "3 4"], focal: float
) -> Float[Tensor, "N 2"]:
    """Project world points (N, 3) to image coordinates (N, 2): x right, y down, 0 at the centre, ±1 at the edges.

    `cam_from_world` is (3, 4); `focal` is the focal length in units of half the image's edge. The image is square.
    """
    in_cam = points @ cam_from_world[:, :3].T + cam_from_world[:, 3]
    depth = (-in_cam[:, 2:]).clamp(min=1e-6)
    return in_cam[:, :2] / depth * in_cam.new_tensor([focal, -focal])
