"""The losses beside the score: agreement with the input view, and mild priors for solid objects.

N rays; `weights` and `alpha` (N,) are those of `reconstruct.volume`.
"""

import torch
from torch import Tensor

from reconstruct.volume import Rendered


def input_view(rendered: Rendered, rgba: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean squared errors of premultiplied colour and of alpha against input pixels (N, 4) in [0, 1]."""
    # Premultiplied, so that the uncertain colour of nearly transparent pixels counts little.
    premultiplied = rgba[:, :3] * rgba[:, 3:]
    colour = (rendered.premultiplied - premultiplied).square().mean()
    return colour, (rendered.alpha - rgba[:, 3]).square().mean()


def decoded_view(decoded: Tensor, rgba: Tensor) -> Tensor:
    """Mean of (D(y) − x)² of a decoded view (3, H, W) and the input (H, W, 4) in [0, 1], on white.

    y are rendered latents and D the decoder: the input view's loss of Zero-1-to-3's code (3drec, arXiv 2303.11328).
    """
    on_white = rgba[..., :3] * rgba[..., 3:] + 1.0 - rgba[..., 3:]
    return (decoded - on_white.permute(2, 0, 1)).square().mean()


def emptiness(weights: Tensor, scale: float) -> Tensor:
    """Mean of log(1 + scale·w): many faint samples cost more than a few dense (SJC, arXiv 2212.00774, eq. 15)."""
    return torch.log1p(scale * weights).mean()


def indecision(alpha: Tensor) -> Tensor:
    """Mean of 4 α (1 − α), (N,) → scalar in [0, 1]: 0 where every pixel is fully object or fully background."""
    return (4.0 * alpha * (1.0 - alpha)).mean()


def image_smoothness(image: Tensor) -> Tensor:
    """Mean absolute difference of neighbours in images (B, H, W), across and down, halved (arXiv 2212.00774, §A)."""
    across = (image[:, :, 1:] - image[:, :, :-1]).abs().mean()
    down = (image[:, 1:] - image[:, :-1]).abs().mean()
    return (across + down) / 2.0


def near_view_change(picture: Tensor, near: Tensor, depth: Tensor, near_depth: Tensor) -> Tensor:
    """Mean |x − x'| + mean |d − d'| of pictures (B, C, H, W) and depths (B, H, W) from two cameras close together.

    The near-view consistency of Zero-1-to-3 (arXiv 2303.11328, §3.3; in its code the change of features and depth
    between a camera and another a twentieth of a unit away).
    """
    return (picture - near).abs().mean() + (depth - near_depth).abs().mean()


def grid_smoothness(grid: Tensor) -> Tensor:
    """Mean squared difference of neighbours in a grid (1, C, N, N, N) along its three axes."""
    return torch.stack([torch.diff(grid, dim=axis).square().mean() for axis in (2, 3, 4)]).mean()
