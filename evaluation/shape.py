"""Compare a mesh with true views of its object: silhouettes and colours."""

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
    """The agreement of a mesh with a true view: IoU of silhouettes in [0, 1], and PSNR in dB on white."""

    view: int
    iou: float
    psnr: float


def mesh_against_view(
    mesh: Mesh, rgba: NDArray[np.uint8], cam_from_world: NDArray[np.float64], lens: Lens, view: int = 0
) -> ViewOfMesh:
    """Compare the mesh with `rgba` (H, W, 4), taken by a camera (3, 4). Alpha above one half is the object."""
    hw = (rgba.shape[0], rgba.shape[1])
    iou = silhouette_iou(silhouette(mesh, cam_from_world, lens, hw), rgba[..., 3] > 127)
    # Without light of our own: the colours hold that of the true views already.
    seen = on_white(picture(mesh, cam_from_world, lens, hw, shade=0.0))
    return ViewOfMesh(view, iou, psnr(seen, on_white(rgba)))


def mesh_against_views(
    mesh: Mesh, images: Sequence[NDArray[np.uint8]], extrinsics: NDArray[np.float64], lens: Lens, views: Sequence[int]
) -> list[ViewOfMesh]:
    """Compare the mesh with each of `views`, by `mesh_against_view`."""
    return [mesh_against_view(mesh, images[view], extrinsics[view], lens, view) for view in views]
