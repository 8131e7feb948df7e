"""Render a picture of the prepared scene."""

from pathlib import Path

import bpy
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from render.blender.floats import render_to_file
from render.blender.window import Window


def shoot(scene: bpy.types.Scene, scratch: Path, window: Window) -> NDArray[np.uint8]:
    """Render `window` of the current view; the whole frame as straight-alpha RGBA (H, W, 4), empty outside.

    Should the object reach further than the window, the frame is rendered whole: nothing seen is ever cut off.
    `scratch` may be overwritten.
    """
    aim(scene, window)
    with Image.open(render_to_file(scene, scratch)) as file:
        picture = np.array(file.convert("RGBA"))
    if window.cuts(picture[..., 3]):
        return shoot(scene, scratch, Window.full_frame(window.hw))
    return window.paste(picture)


def aim(scene: bpy.types.Scene, window: Window) -> None:
    """Make the scene render `window` alone. A quarter of a pixel keeps its edges clear of rounding."""
    render, (height, width) = scene.render, window.hw
    render.use_border = render.use_crop_to_border = window != Window.full_frame(window.hw)
    render.border_min_x, render.border_max_x = (window.left + 0.25) / width, (window.right + 0.25) / width
    render.border_min_y, render.border_max_y = 1 - (window.bottom - 0.25) / height, 1 - (window.top - 0.25) / height
