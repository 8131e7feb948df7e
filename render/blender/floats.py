"""Blender's pictures as numbers. It gives them only as files, and an EXR file holds every value unchanged."""

from pathlib import Path

import bpy
import numpy as np
import OpenEXR
from numpy.typing import NDArray

from render.blender.refusal import Refusal
from render.job import Outcome

Channels = dict[str, NDArray[np.float32]]


def set_png_output(scene: bpy.types.Scene) -> None:
    """Write pictures as PNG, with exactly Blender's colours; uncompressed, because compression takes time."""
    image = scene.render.image_settings
    image.file_format, image.color_mode, image.color_depth, image.compression = "PNG", "RGBA", "8", 0
    image.color_management = "FOLLOW_SCENE"


def set_exr_output(scene: bpy.types.Scene, *, passes: bool) -> None:
    """Write pictures as EXR of 32-bit floats: the picture alone, or with all passes."""
    image = scene.render.image_settings
    image.file_format = "OPEN_EXR_MULTILAYER" if passes else "OPEN_EXR"
    image.color_mode, image.color_depth, image.exr_codec = "RGBA", "32", "NONE"


def render_to_file(scene: bpy.types.Scene, scratch: Path) -> Path:
    """Render into the file `scratch`. Raises Refusal when Blender leaves none."""
    scratch.unlink(missing_ok=True)
    scene.render.filepath = str(scratch)
    bpy.ops.render.render(write_still=True)
    if not scratch.is_file():
        raise Refusal(Outcome.RENDER_ERROR, "expected a picture from Blender, got no file")
    return scratch


def last_is_finite(scene: bpy.types.Scene, scratch: Path) -> bool:
    """Return whether the last picture had only finite values before it was rounded to 8 bits."""
    set_exr_output(scene, passes=False)
    # Its pixels cannot be read from Python, but a file of it can.
    bpy.data.images["Render Result"].save_render(str(scratch), scene=scene)
    set_png_output(scene)
    return all(bool(np.isfinite(values).all()) for values in read_channels(scratch).values())


def read_channels(path: Path) -> Channels:
    """Return the channels (H, W) of an EXR file by Blender, by name without the layer."""
    with OpenEXR.File(str(path), separate_channels=True) as file:
        return {name.removeprefix("ViewLayer."): channel.pixels for name, channel in file.channels().items()}
