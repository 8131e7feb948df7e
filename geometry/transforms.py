"""Cameras as `transforms.json`, for nerfstudio, instant-ngp and NeRF's own loader."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from geometry.camera import Lens, world_from_cam


def nerf_transforms(cam_from_world: ArrayLike, files: Sequence[str], lens: Lens, hw: tuple[int, int]) -> dict[str, Any]:
    """Return what transforms.json says of pictures `files` by cameras (V, 3, 4): world_from_cam in OpenGL axes.

    `camera_angle_x` is the angle in radians across the image's width; focal lengths and centre are in pixels.
    """
    height, width = hw
    focal_px = lens.focal_px(hw)
    bottom = [[0.0, 0.0, 0.0, 1.0]]
    matrices = [[*matrix.tolist(), *bottom] for matrix in world_from_cam(cam_from_world)]
    return {
        # Not `lens.fov_rad`: that spans the longer edge, which may be the height.
        "camera_angle_x": 2.0 * float(np.arctan(width / (2.0 * focal_px))),
        "fl_x": focal_px,
        "fl_y": focal_px,
        "cx": width / 2.0,
        "cy": height / 2.0,
        "w": width,
        "h": height,
        "frames": [
            {"file_path": file, "transform_matrix": matrix} for file, matrix in zip(files, matrices, strict=True)
        ],
    }
