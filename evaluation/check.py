"""Check a data set against itself: the silhouette of each truth mesh must cover the alpha of each view."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.images.psnr import mask_iou
from evaluation.shapes.depth_fusion import depth_of
from evaluation.shapes.triangles import Triangles
from evaluation.truth import TrueObject, TrueView
from reconstruct.raster import rasterise


@dataclass(frozen=True, kw_only=True)
class ViewCheck:
    """A view's agreement with the mesh.

    `iou` is that of the silhouettes. `depth_error` is the greatest difference of depths where both have one, over all
    but the outline's pixels; NaN without depths.
    """

    view: str
    iou: float
    depth_error: float = float("nan")


def check_object(truth: TrueObject, mesh: Triangles) -> list[ViewCheck]:
    """Project the mesh into every view. Alpha above one half is the object. Raises Failure for a damaged file."""
    return [_check_view(view, mesh) for view in truth.views]


def _check_view(view: TrueView, mesh: Triangles) -> ViewCheck:
    # The rasteriser knows only centred lenses with square pixels.
    matrix, lens = view.pinhole.centred(view.cam_from_world)
    raster = rasterise(mesh.vertices, mesh.faces, matrix, lens, view.pinhole.hw)
    alpha = view.read()[..., 3] > 127
    iou = mask_iou(raster.face >= 0, alpha)
    if view.read_depth is None:
        return ViewCheck(view=view.name, iou=iou)
    return ViewCheck(
        view=view.name, iou=iou, depth_error=_greatest_error(view.read_depth(), depth_of(raster, mesh, matrix))
    )


def _greatest_error(depth: NDArray[np.float64], measured: NDArray[np.float64]) -> float:
    both = np.isfinite(depth) & np.isfinite(measured)
    # Depths that only one side has are outline pixels, which the IoU counts.
    return float(np.abs(depth[both] - measured[both]).max()) if both.any() else float("nan")
