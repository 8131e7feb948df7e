"""Cameras around the object: seeded viewpoints for the score, and the orbit of a turntable."""

import numpy as np
import torch
from numpy.typing import NDArray

from base.seeds import stable_rng
from geometry.camera import camera_centre, look_at_origin
from geometry.sphere import BLOCK, cube_normalised, stratified_block
from reconstruct.settings import ScoreSettings

Floats = NDArray[np.float64]

LOWEST = -0.5
"""The z of the lowest direction to a camera of the original's run."""


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


def score_viewpoints(seed: int, settings: ScoreSettings) -> Floats:
    """Draw the score's viewpoints as `settings` say, `cam_from_world` (count, 3, 4)."""
    draw = draw_viewpoints if settings.cameras == "sphere" else draw_cube_viewpoints
    return draw(seed, settings.viewpoints, settings.radius)


def draw_cube_viewpoints(seed: int, count: int, radius: tuple[float, float]) -> Floats:
    """Draw `count` cameras as the original does: directions uniform in a cube, not from far below.

    Directions with z under −.5 are drawn again. A longer list begins with the shorter list.
    """
    rng = stable_rng(seed, "reconstruct-cube-viewpoints")
    cameras: list[Floats] = []
    while len(cameras) < count:
        (direction,) = cube_normalised(rng, 1)
        distance = rng.uniform(*radius)
        if direction[2] > LOWEST:
            cameras.append(look_at_origin(direction * distance))
    return np.stack(cameras)


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
