"""Views of a field, to be baked into its mesh's texture."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from geometry.camera import Lens
from reconstruct.field import LatentCodec, VoxelField
from reconstruct.rays import camera_rays
from reconstruct.volume import Rendered, render

FAINTEST = 1e-3
"""Below this alpha a colour is arbitrary, and is not divided out."""


def field_views(
    field: VoxelField, cameras: NDArray[np.float64], lens: Lens, hw: tuple[int, int], samples: int
) -> NDArray[np.float32]:
    """Render views of a field from cameras (V, 3, 4), with straight alpha; float32 RGBA (V, H, W, 4) in [0, 1].

    Latents are decoded, and their alpha is interpolated.
    """
    device = str(field.density.device)
    codec = field.codec
    size = hw if codec is None else (-(-hw[0] // codec.edge_px), -(-hw[1] // codec.edge_px))
    views = []
    with torch.no_grad():
        for camera in cameras:
            rendered = render(field, camera_rays(camera, lens, size, device), samples)
            if codec is None:
                premultiplied, alpha = rendered.premultiplied, rendered.alpha
            else:
                premultiplied, alpha = _decoded(rendered, codec, size, hw)
            views.append(_straight(premultiplied, alpha))
    return np.stack(views).reshape(len(cameras), *hw, 4)


def _decoded(
    rendered: Rendered, codec: LatentCodec, size: tuple[int, int], hw: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Return premultiplied colours (H·W, 3) and alpha (H·W,) of rendered latents of `size`."""
    latents = rendered.over(codec.background).view(*size, -1).permute(2, 0, 1)[None].contiguous()
    on_white = functional.interpolate(codec.decode(latents), hw, mode="bilinear", align_corners=False)
    alpha = functional.interpolate(rendered.alpha.view(1, 1, *size), hw, mode="bilinear", align_corners=False)
    # White was composed before decoding, so it is taken off afterwards.
    return (on_white - (1.0 - alpha))[0].permute(1, 2, 0).reshape(-1, 3), alpha.reshape(-1)


def _straight(premultiplied: Tensor, alpha: Tensor) -> NDArray[np.float32]:
    colour = premultiplied / alpha.clamp(min=FAINTEST)[:, None]
    rgba = torch.cat([colour.clamp(0.0, 1.0), alpha[:, None]], dim=1)
    return np.asarray(rgba.cpu().numpy(), np.float32)
