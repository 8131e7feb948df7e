"""A mesh against true views of its object: silhouettes and colours."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.baselines import on_white
from evaluation.metrics import psnr, silhouette_iou
from geometry.camera import Lens
from reconstruct.mesh import Mesh
from reconstruct.silhouette import silhouette
from reconstruct.turntable import picture


@dataclass(frozen=True)
class ViewOfMesh:
    """How well the mesh agrees with one true view: IoU of silhouettes in [0, 1], and PSNR in dB on white."""

    view: int
    iou: float
    psnr: float


def mesh_against_view(
    mesh: Mesh, rgba: NDArray[np.uint8], cam_from_world: NDArray[np.float64], lens: Lens, view: int = 0
) -> ViewOfMesh:
    """The mesh seen by the camera (3, 4) that took `rgba` (H, W, 4); the object is where alpha is above one half."""
    hw = (rgba.shape[0], rgba.shape[1])
    iou = silhouette_iou(silhouette(mesh, cam_from_world, lens, hw), rgba[..., 3] > 127)
    seen = on_white(picture(mesh, cam_from_world, lens, hw))
    return ViewOfMesh(view, iou, psnr(seen, on_white(rgba)))


def mesh_against_views(
    mesh: Mesh, images: Sequence[NDArray[np.uint8]], extrinsics: NDArray[np.float64], lens: Lens, views: Sequence[int]
) -> list[ViewOfMesh]:
    """`mesh_against_view` for the views whose numbers are in `views`."""
    return [mesh_against_view(mesh, images[view], extrinsics[view], lens, view) for view in views]
