"""Views of a field, to be baked into its mesh's texture."""

import numpy as np
import torch
from numpy.typing import NDArray

from geometry.camera import Lens
from reconstruct.field import VoxelField
from reconstruct.rays import camera_rays
from reconstruct.volume import Rendered, render

FAINTEST = 1e-3
"""Below this alpha a colour is arbitrary, and is not divided out."""


def field_views(
    field: VoxelField, cameras: NDArray[np.float64], lens: Lens, hw: tuple[int, int], samples: int
) -> NDArray[np.float32]:
    """Render views of a field from cameras (V, 3, 4), with straight alpha; float32 RGBA (V, H, W, 4) in [0, 1]."""
    device = str(field.density.device)
    with torch.no_grad():
        views = [_straight(render(field, camera_rays(camera, lens, hw, device), samples)) for camera in cameras]
    return np.stack(views).reshape(len(cameras), *hw, 4)


def _straight(rendered: Rendered) -> NDArray[np.float32]:
    colour = rendered.premultiplied / rendered.alpha.clamp(min=FAINTEST)[:, None]
    rgba = torch.cat([colour.clamp(0.0, 1.0), rendered.alpha[:, None]], dim=1)
    return np.asarray(rgba.cpu().numpy(), np.float32)
