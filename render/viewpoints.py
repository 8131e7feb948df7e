"""Camera positions: a pure function of (seed, uid, view number)."""

import numpy as np
from numpy.typing import NDArray

from base.seeds import stable_rng
from geometry.camera import Lens, look_at_origin
from geometry.sphere import BLOCK, cube_normalised, stratified_block
from render.settings import RenderSettings

Floats = NDArray[np.float64]

UNIT_BOX_RADIUS = 0.75**0.5
"""The distance from the centre of the unit box to its corners."""
MARGIN_PX = 2.0
"""The pixels that the pixel filter may add to an outline."""


def draw_viewpoints(settings: RenderSettings, uid: str, seed: int) -> Floats:
    """Return `cam_from_world` of every view of an object, (V, 3, 4).

    Those of the rig, if there is one. Else drawn in blocks of 12, so that asking for more views later keeps the earlier
    ones.
    """
    if settings.rig is not None:
        return settings.rig.extrinsics([stable_rng(seed, "rig", uid, view) for view in range(settings.views)])
    blocks = -(-settings.views // BLOCK)
    centres = np.concatenate([_block_of_centres(settings, uid, seed, block) for block in range(blocks)])
    return np.stack([look_at_origin(centre) for centre in centres[: settings.views]])


def _block_of_centres(settings: RenderSettings, uid: str, seed: int, block: int) -> Floats:
    # By block, not by view: within a block the directions are stratified together.
    rng = stable_rng(seed, "viewpoints", uid, block)
    directions = stratified_block(rng) if settings.camera_sampling == "sphere" else cube_normalised(rng, BLOCK)
    nearest, farthest = radius_range(settings)
    return directions * rng.uniform(nearest, farthest, size=(BLOCK, 1))


def radius_range(settings: RenderSettings) -> tuple[float, float]:
    """Return the least and greatest distance of a camera from the origin.

    With `framing` whole, the nearest camera just sees the whole sphere around the unit box, so no view cuts off an
    object. The farthest camera keeps the proportion of `radius`.
    """
    nearest, farthest = settings.radius
    if settings.framing == "radius":
        return nearest, farthest
    focal_px = Lens(**settings.lens.model_dump()).focal_px(settings.hw)
    half_px = min(settings.hw) / 2.0 - MARGIN_PX
    # A sphere of radius r at distance d is drawn within r f / √(d² − r²) of the image's centre.
    whole = UNIT_BOX_RADIUS * float(np.sqrt(1.0 + (focal_px / half_px) ** 2))
    return whole, whole * farthest / nearest
