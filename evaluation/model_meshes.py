"""Our model as a method for meshes: `zero123 reconstruct` on the first input of each object."""

import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from base.progress import SILENT
from evaluation.images.values import resize
from evaluation.methods import Task
from evaluation.shapes.triangles import Triangles
from evaluation.truth import TrueView
from geometry.camera import Lens, camera_centre, look_at_origin
from geometry.sphere import cartesian_from_spherical, spherical_from_cartesian
from inference.object_mesh import MeshRequest, MeshSections, finished_mesh
from inference.sample_photo import LoadedModel


class ModelMeshes:
    """Reconstructs a mesh in the world of the cameras. `work` keeps what a stop would lose; nothing is left there."""

    def __init__(self, model: LoadedModel, settings: MeshSections, seed: int, work: Path) -> None:
        self.model, self.settings, self.seed, self.work = model, settings, seed, work

    def __call__(self, task: Task) -> Triangles:
        """Return the mesh of an object. Raises Failure for an input without an object, or an empty mesh."""
        lens = Lens(**self.settings.reconstruct.lens.model_dump())
        request = MeshRequest(
            model=self.model,
            rgba=resize(task.input_pixels, self.model.pipeline.hw, "bicubic"),
            camera=camera_with_lens(task.truth.views[task.inputs[0]], lens),
            settings=self.settings,
            seed=self.seed,
        )
        folder = self.work / task.truth.uid
        made = finished_mesh(folder, request, SILENT).mesh
        shutil.rmtree(folder, ignore_errors=True)
        return Triangles(made.vertices, made.faces)


def camera_with_lens(view: TrueView, lens: Lens) -> NDArray[np.float64]:
    """Return `cam_from_world` (3, 4) of an upright camera with `lens` that looks at the origin in the view's direction.

    Its distance is such that an object at the origin looks as large as in the view.
    """
    polar, azimuth, radius = (float(value) for value in spherical_from_cartesian(camera_centre(view.cam_from_world)))
    longer = max(view.pinhole.hw)
    relative_focal = max(view.pinhole.fx, view.pinhole.fy) / longer
    return look_at_origin(
        cartesian_from_spherical(polar, azimuth, radius * lens.focal_mm / lens.sensor_mm / relative_focal)
    )
