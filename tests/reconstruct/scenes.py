"""Small settings and a sphere seen by cameras, for the tests of this folder."""

import json
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geometry.camera import PAPER_LENS, camera_centre, ray_directions
from reconstruct.field import VoxelField
from reconstruct.settings import ReconstructSettings

RADIUS = 0.35
COLOUR = np.array([0.9, 0.3, 0.2])

VALUES: dict[str, Any] = {
    "lens": {"focal_mm": 35.0, "sensor_mm": 32.0},
    "field": {
        "space": "rgb",
        "half_extent": 0.52,
        "density_scale": 50.0,
        "initial_raw_density": -3.0,
        "initial_noise": 0.0,
    },
    "stages": [{"resolution": 16, "steps": 15}, {"resolution": 32, "steps": 15}],
    "samples_per_ray": 24,
    "input_rays": 512,
    "score": {
        "viewpoints": 12,
        "cameras": "sphere",
        "views_per_step": 2,
        "radius": [1.5, 2.2],
        "guidance_scale": 2.0,
        "draws": 1,
        "timesteps_first": [0.9, 0.98],
        "timesteps_last": [0.3, 0.6],
        "gradient": "sjc",
        "sigma_power": 0.0,
        "near_distance": 0.05,
        "space": "image",
    },
    "weights": {
        "score": 1.0,
        "colour": 5.0,
        "alpha": 5.0,
        "emptiness": 0.02,
        "indecision": 0.0,
        "depth_smooth": 0.0,
        "depth_smooth_from": 0.0,
        "near_view": 0.0,
        "density_smooth": 0.001,
        "colour_smooth": 0.001,
    },
    "rates": {"optimiser": "adam", "density": 0.3, "colour": 0.1},
    "method": "score",
    "views": {"rig": "sphere", "outvoted": 1, "smooth_cells": 0.7},
    "surface": {
        "resolution": 48,
        "keep_fraction": 0.02,
        "sweep": {
            "resolution": 40,
            "rounds": 1,
            "neighbours": 8,
            "best": 3,
            "planes": 48,
            "inconsistent": 0.015,
            "better": 0.65,
            "agreed_weight": 0.3,
            "enough_weight": 1.2,
            "smooth_cells": 0.7,
            "checks": ["silhouettes", "colours"],
            "refuted": 0.8,
        },
    },
    "mesh": {
        "surface": "density",
        "views": 24,
        "resolution": 48,
        "levels": [20.0, 5.0],
        "enough_iou": 0.9,
        "smooth_voxels": 0.7,
        "keep_fraction": 0.05,
        "faces": 50000,
        "texture": {"edge_px": 128, "views": 6},
        "also": [],
    },
    "turntable": {
        "frames": 4,
        "hw": [48, 48],
        "elevation_deg": 20.0,
        "radius": 1.9,
        "renderer": "quick",
        "passes": ["depth", "normal"],
        "films": ["webp"],
    },
}


def small_settings() -> ReconstructSettings:
    return ReconstructSettings.model_validate_json(json.dumps(VALUES))


def sphere_alpha(cam_from_world: NDArray[np.float64], hw: tuple[int, int], radius: float = RADIUS) -> NDArray[np.bool_]:
    """The pixels whose ray passes the origin nearer than `radius`: the sphere's silhouette, by geometry alone."""
    directions = ray_directions(PAPER_LENS, hw) @ cam_from_world[:, :3]
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    centre = camera_centre(cam_from_world)
    along = -(directions @ centre)
    return np.asarray(np.linalg.norm(centre + along[..., None] * directions, axis=-1) < radius)


def sphere_rgba(cam_from_world: NDArray[np.float64], hw: tuple[int, int]) -> NDArray[np.uint8]:
    rgba = np.zeros((*hw, 4), np.uint8)
    rgba[sphere_alpha(cam_from_world, hw)] = (*np.round(COLOUR * 255).astype(np.uint8), 255)
    return rgba


class SphereField(VoxelField):
    """A field whose density is `inside` within a ball and 0 without, exactly; red above z = 0, blue below."""

    def __init__(self, radius: float, inside: float, half_extent: float = 0.52) -> None:
        super().__init__(4, half_extent, 1.0, None)
        self.radius, self.inside = radius, inside

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
        density = torch.where(points.norm(dim=1) < self.radius, self.inside, 0.0)
        upper = (points[:, 2:] > 0).float()
        return density, torch.cat([upper, torch.zeros_like(upper), 1.0 - upper], dim=1)


class TrueViews:
    """A score that knows every view: the squared distance to the true picture."""

    def __init__(self, images: list[NDArray[np.uint8]]) -> None:
        stack = np.stack(images).astype(np.float32) / 255.0
        rgb = stack[..., :3] * stack[..., 3:] + 1.0 - stack[..., 3:]
        self.hw = (stack.shape[1], stack.shape[2])
        self.true = torch.from_numpy(rgb).permute(0, 3, 1, 2)

    def loss(self, images: Tensor, which: list[int], done: float, generator: torch.Generator) -> Tensor:
        return (images - self.true[which]).square().mean()
