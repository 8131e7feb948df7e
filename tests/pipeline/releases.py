"""Folders as the released data of Zero-1-to-3 has them, of squares in colours drawn from the uid.

Their bytes are the same on every machine, for splits follow from them: pictures are not compressed, which is done in
other ways on other processors, and cameras are rounded to what all of them agree on.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from base.seeds import stable_rng
from geometry.camera import look_at_origin
from geometry.sphere import stratified_block

VIEWS, HW = 12, (16, 16)
STEPS = 1 << 20
"""Of a camera's numbers, within one."""


def released(folder: Path, name: str, views: int = VIEWS) -> Path:
    """One object: `name`/000.png, 000.npy, 001.png, …; colours also where nothing is seen."""
    rng = stable_rng(0, "release", name)
    target = folder / name
    target.mkdir(parents=True)
    for view, direction in enumerate(stratified_block(rng)[:views]):
        rgba = rng.integers(0, 256, (*HW, 4), np.uint8)
        rgba[..., 3] = 0
        rgba[4:12, 4:12, 3] = rng.integers(1, 256, (8, 8))
        Image.fromarray(rgba, "RGBA").save(target / f"{view:03d}.png", compress_level=0)
        camera = look_at_origin(direction * rng.uniform(1.5, 2.2))
        np.save(target / f"{view:03d}.npy", np.round(camera * STEPS) / STEPS)
    return target
