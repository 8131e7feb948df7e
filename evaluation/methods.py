"""Methods without a model, and oracles: each answers an object of a protocol with views or with a mesh.

An oracle knows the truth. It shows what a measurement can give at best, or by how much a known error moves it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import marching_cubes

from evaluation.baselines import mean_view, on_white, white_view
from evaluation.shapes.triangles import Triangles
from evaluation.truth import TrueObject, TrueView
from geometry.camera import Lens, project

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

HULL_SIZE = 64
"""Voxels along each edge of the hull's cube."""


@dataclass(frozen=True)
class Task:
    """An object to answer. Of its truth a method may see only the views `inputs`; `targets` are asked for, at `hw`."""

    truth: TrueObject
    inputs: tuple[int, ...]
    targets: tuple[int, ...]
    hw: tuple[int, int]

    @property
    def input_pixels(self) -> Pixels:
        """Return the first input, RGBA (H, W, 4)."""
        return self.truth.views[self.inputs[0]].read()


ViewMethod = Callable[[Task], list[Pixels]]
MeshMethod = Callable[[Task], Triangles]


def input_copied(task: Task) -> list[Pixels]:
    """Answer every view with the input."""
    return [on_white(task.input_pixels)] * len(task.targets)


def white(task: Task) -> list[Pixels]:
    """Answer every view with white."""
    seen = task.input_pixels
    return [white_view((seen.shape[0], seen.shape[1]))] * len(task.targets)


def mean_of_views(task: Task) -> list[Pixels]:
    """Answer every view with the mean of all true views. An oracle: it knows the object."""
    return [mean_view([view.read() for view in task.truth.views])] * len(task.targets)


def true_views(task: Task) -> list[Pixels]:
    """Answer with the truth itself."""
    return [task.truth.views[target].read() for target in task.targets]


def noisy_views(task: Task, levels: int) -> list[Pixels]:
    """Answer with the truth on white, each value wrong by exactly `levels` of 255: PSNR is −20 log10(levels / 255)."""
    made = []
    for pixels in true_views(task):
        values = on_white(pixels).astype(np.int64)
        # Alternating signs: an error without a mean, so no shift of brightness.
        up = np.indices(values.shape).sum(axis=0) % 2 == 0
        # A value at an end of the range moves inwards, so that nothing is clipped.
        up = (up | (values < levels)) & (values + levels <= 255)
        made.append((values + np.where(up, levels, -levels)).astype(np.uint8))
    return made


def shifted_views(task: Task, pixels: int) -> list[Pixels]:
    """Answer with the truth on white, shifted to the right by whole pixels."""
    made = []
    for true in true_views(task):
        seen = on_white(true)
        made.append(np.concatenate([np.full_like(seen[:, :pixels], 255), seen[:, : seen.shape[1] - pixels]], axis=1))
    return made


def true_mesh(task: Task) -> Triangles:
    """Answer with the truth's mesh. Raises ValueError without one."""
    if task.truth.read_mesh is None:
        raise ValueError(f"{task.truth.uid}: expected a truth with a mesh")
    return task.truth.read_mesh()


def visual_hull(task: Task) -> Triangles:
    """Answer with the hull of all true silhouettes. An oracle: it sees every view."""
    return hull_of(task.truth.views)


def input_hull(task: Task) -> Triangles:
    """Answer with the input's silhouette extruded along its rays through the unit cube, the hull of a single view."""
    return hull_of([task.truth.views[task.inputs[0]]])


def hull_of(views: Sequence[TrueView]) -> Triangles:
    """Carve the unit cube by the silhouettes of some views. Raises ValueError when nothing is left."""
    # Centres of voxels.
    ticks = (np.arange(HULL_SIZE) + 0.5) / HULL_SIZE - 0.5
    points = np.stack(np.meshgrid(ticks, ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 3)
    opacity = np.ones(len(points))
    for view in views:
        matrix, lens = view.pinhole.centred(view.cam_from_world)
        # Bilinear alpha places the surface between voxels.
        opacity = np.minimum(opacity, _alpha_at(points, view.read()[..., 3], matrix, lens))
    grid = np.pad(opacity.reshape((HULL_SIZE,) * 3), 1)
    if grid.max() <= 0.5:
        raise ValueError("expected silhouettes with a common solid, got nothing inside all of them")
    vertices, faces, _, _ = marching_cubes(grid, level=0.5, gradient_direction="descent")
    # scikit-image counts corners clockwise when the array is indexed [x, y, z].
    return Triangles((vertices - 0.5) / HULL_SIZE - 0.5, faces[:, ::-1].astype(np.int64))


def _alpha_at(points: Floats, alpha: Pixels, matrix: Floats, lens: Lens) -> Floats:
    # Array index 0 is the centre of the first pixel, which `project` puts at .5.
    where = project(points, matrix, lens, (alpha.shape[0], alpha.shape[1])) - 0.5
    seen = ndimage.map_coordinates(alpha / 255.0, where.T[::-1], order=1, mode="constant")
    # Points behind the camera are NaN; they count as transparent.
    return np.nan_to_num(np.asarray(seen, np.float64))


VIEW_METHODS: dict[str, ViewMethod] = {"input": input_copied, "white": white, "mean": mean_of_views}
MESH_METHODS: dict[str, MeshMethod] = {"extrusion": input_hull, "hull": visual_hull}
ORACLES = ("truth", "noise", "shift", "hull")
