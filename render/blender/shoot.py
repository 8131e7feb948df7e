"""One picture of the prepared scene."""

from pathlib import Path

import bpy
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from render.blender.refusal import Refusal
from render.blender.window import Window
from render.job import Outcome


def shoot(scene: bpy.types.Scene, scratch: Path, window: Window) -> NDArray[np.uint8]:
    """Render `window` of the current view; the whole frame as straight-alpha RGBA (H, W, 4), empty outside.

    Should the object reach further than the window, the frame is rendered whole: nothing seen is ever cut off.
    `scratch` is a PNG path that may be overwritten. Blender's own PNG carries its colour management exactly;
    uncompressed it costs next to nothing.
    """
    aim(scene, window)
    picture = _rendered(scene, scratch)
    if window.cuts(picture[..., 3]):
        return shoot(scene, scratch, Window.whole(window.hw))
    return window.pasted(picture)


def aim(scene: bpy.types.Scene, window: Window) -> None:
    """Make the scene render `window` alone. A quarter of a pixel keeps its edges clear of rounding."""
    render, (height, width) = scene.render, window.hw
    render.use_border = render.use_crop_to_border = window != Window.whole(window.hw)
    render.border_min_x, render.border_max_x = (window.left + 0.25) / width, (window.right + 0.25) / width
    render.border_min_y, render.border_max_y = 1 - (window.bottom - 0.25) / height, 1 - (window.top - 0.25) / height


def _rendered(scene: bpy.types.Scene, scratch: Path) -> NDArray[np.uint8]:
    scratch.unlink(missing_ok=True)
    scene.render.filepath = str(scratch)
    bpy.ops.render.render(write_still=True)
    if not scratch.is_file():
        raise Refusal(Outcome.RENDER_ERROR, "expected a picture from Blender, got none")
    with Image.open(scratch) as picture:
        return np.array(picture.convert("RGBA"))
