"""One picture of the prepared scene."""

from pathlib import Path

import bpy
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from render.blender.refusal import Refusal
from render.job import Outcome


def shoot(scene: bpy.types.Scene, scratch: Path) -> NDArray[np.uint8]:
    """Render the current view as straight-alpha RGBA (H, W, 4); `scratch` is a PNG path that may be overwritten.

    Blender's own PNG carries its colour management exactly; uncompressed it costs next to nothing.
    """
    scratch.unlink(missing_ok=True)
    scene.render.filepath = str(scratch)
    bpy.ops.render.render(write_still=True)
    if not scratch.is_file():
        raise Refusal(Outcome.RENDER_ERROR, "expected a picture from Blender, got none")
    with Image.open(scratch) as picture:
        return np.array(picture.convert("RGBA"))
