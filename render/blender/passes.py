"""Render the passes: depth, normals, albedo. A single ray goes through the middle of every pixel.

The picture's own rays cover a pixel, so its edges are soft. A depth averaged over two surfaces would be on neither.
"""

from collections.abc import Iterable
from pathlib import Path

import bpy
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geometry.colour import srgb_from_linear
from render.blender.floats import Channels, read_channels, render_to_file, set_exr_output
from render.job import pass_file

Array = NDArray[np.generic]

COLOURS = ("DiffCol", "GlossCol", "TransCol")
NOTHING = 1e9
"""Depths above this are Cycles' way to say that a ray met nothing."""


def prepare_passes(scene: bpy.types.Scene) -> None:
    """Change a scene from pictures to passes. This cannot be undone."""
    cycles, layer = scene.cycles, scene.view_layers[0]
    layer.use_pass_z = layer.use_pass_normal = True
    layer.use_pass_diffuse_color = layer.use_pass_glossy_color = layer.use_pass_transmission_color = True
    cycles.samples, cycles.max_bounces = 1, 0
    cycles.use_adaptive_sampling = cycles.use_denoising = False
    # Narrow enough that each ray starts in the middle of its pixel.
    cycles.pixel_filter_type, cycles.filter_width = "BOX", 0.01
    scene.render.use_border = scene.render.use_crop_to_border = False
    set_exr_output(scene, passes=True)


def shoot_passes(scene: bpy.types.Scene, scratch: Path, cam_from_world: NDArray[np.float64]) -> dict[str, Array]:
    """All passes of the current view, as `passes_from_channels` describes them; `scratch` may be overwritten."""
    return passes_from_channels(read_channels(render_to_file(scene, scratch)), cam_from_world[:, :3])


def passes_from_channels(found: Channels, cam_from_world: NDArray[np.float64]) -> dict[str, Array]:
    """All passes out of Cycles' channels (H, W) and the camera's rotation (3, 3)."""
    seen = found["Depth.Z"] < NOTHING
    normal = np.stack([found[f"Normal.{axis}"] for axis in "XYZ"], axis=-1).astype(np.float64)
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    normal = np.divide(normal, length, out=np.zeros_like(normal), where=seen[..., None] & (length > 0.0))
    colour = sum(np.stack([found[f"{name}.{channel}"] for channel in "RGB"], axis=-1) for name in COLOURS)
    albedo = srgb_from_linear(np.where(seen[..., None], colour, 0.0))
    return {
        "depth": np.where(seen, found["Depth.Z"], 0.0).astype(np.float32),
        # Half floats keep three digits of a direction, at half the size.
        "normal_world": normal.astype(np.float16),
        "normal_camera": (normal @ cam_from_world.T).astype(np.float16),
        "albedo": np.round(255.0 * albedo).astype(np.uint8),
        "mask": np.where(seen, 255, 0).astype(np.uint8),
    }


def write_passes(found: dict[str, Array], wanted: Iterable[str], folder: Path, view: int) -> None:
    """Write the `wanted` passes of a view into `folder`."""
    for name in wanted:
        path = folder / pass_file(view, name)
        if path.suffix == ".npy":
            np.save(path, found[name], allow_pickle=False)
        else:
            Image.fromarray(found[name]).save(path, lossless=True, exact=True)
