"""Where the cameras stand: a pure function of (seed, uid, view number)."""

import numpy as np
from numpy.typing import NDArray

from base.seeds import stable_rng
from geometry.camera import look_at_origin
from geometry.sphere import BLOCK, cube_normalised, stratified_block
from render.settings import RenderSettings

Floats = NDArray[np.float64]


def viewpoints(settings: RenderSettings, uid: str, seed: int) -> Floats:
    """`cam_from_world` of every view of an object, (V, 3, 4).

    Drawn in blocks of 12, so that asking for more views later keeps the earlier ones.
    """
    blocks = -(-settings.views // BLOCK)
    centres = np.concatenate([_block_of_centres(settings, uid, seed, block) for block in range(blocks)])
    return np.stack([look_at_origin(centre) for centre in centres[: settings.views]])


def _block_of_centres(settings: RenderSettings, uid: str, seed: int, block: int) -> Floats:
    rng = stable_rng(seed, "viewpoints", uid, block)
    directions = stratified_block(rng) if settings.camera_sampling == "sphere" else cube_normalised(rng, BLOCK)
    return directions * rng.uniform(*settings.radius, size=(BLOCK, 1))
