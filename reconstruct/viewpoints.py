"""Cameras around the object: seeded viewpoints for the score, and the orbit of a turntable."""

import numpy as np
import torch
from numpy.typing import NDArray

from base.seeds import stable_rng
from geometry.camera import camera_centre, look_at_origin
from geometry.sphere import BLOCK, stratified_block

Floats = NDArray[np.float64]


def draw_viewpoints(seed: int, count: int, radius: tuple[float, float]) -> Floats:
    """Draw `count` upright cameras, `cam_from_world` (count, 3, 4), evenly on the sphere, radii uniform in `radius`.

    Cameras come in blocks of 12, and each block covers the sphere. So a longer list begins with the shorter list.
    """
    cameras = []
    for block in range(-(-count // BLOCK)):
        rng = stable_rng(seed, "reconstruct-viewpoints", block)
        centres = stratified_block(rng) * rng.uniform(*radius, BLOCK)[:, None]
        cameras += [look_at_origin(centre) for centre in centres]
    return np.stack(cameras[:count])


def near_cameras(cameras: Floats, distance: float, generator: torch.Generator) -> Floats:
    """Move each camera (K, 3, 4) by `distance` in a random direction, still looking at the origin."""
    # A normalised Gaussian is uniform on the sphere.
    steps = torch.randn((len(cameras), 3), generator=generator, dtype=torch.float64).numpy()
    steps *= distance / np.linalg.norm(steps, axis=1, keepdims=True)
    return np.stack([look_at_origin(centre) for centre in camera_centre(cameras) + steps])


def orbit(frames: int, elevation_deg: float, radius: float) -> Floats:
    """Return the cameras of a full turn at a fixed height, from azimuth 0; `cam_from_world` (frames, 3, 4)."""
    azimuth = np.arange(frames) / frames * 2.0 * np.pi
    elevation = np.deg2rad(elevation_deg)
    across, up = np.cos(elevation), np.full(frames, np.sin(elevation))
    centres = radius * np.stack([across * np.cos(azimuth), across * np.sin(azimuth), up], axis=1)
    return np.stack([look_at_origin(centre) for centre in centres])
