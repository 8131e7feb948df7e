"""Baselines that optimise a density field from a single view: SJC-I and DietNeRF, with our field in place of theirs.

Both compare the field with the input view, as `zero123 reconstruct` does, and judge views from other sides: SJC-I by
the score of Image Variations under the input (arXiv 2303.11328, §4; SJC is arXiv 2212.00774), DietNeRF by CLIP's
embedding of the input (reconstruct.diet).
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from base.digest import digest_json, sha256_bytes
from base.progress import SILENT
from evaluation.images.values import resize, rgb_on_white, to_bytes
from evaluation.methods import Task
from evaluation.model_meshes import camera_with_lens
from evaluation.shapes.triangles import Triangles
from evaluation.truth import TrueView
from geometry.camera import Lens, camera_centre
from reconstruct.checkpoint import Checkpoint
from reconstruct.diet import ConsistencyScore
from reconstruct.field import VoxelField
from reconstruct.mesh import extract
from reconstruct.optimise import optimise_field, prepare_input_view
from reconstruct.rays import Rays
from reconstruct.settings import ReconstructSettings
from reconstruct.sjc import ModelScore, ViewScore
from reconstruct.viewpoints import score_viewpoints
from reconstruct.volume import render
from zero123.clip import ClipImages
from zero123.image_variations import ImageVariations

Pixels = NDArray[np.uint8]
AT_ONCE = 16_384
"""Rays rendered together, which bounds the memory."""


@dataclass(frozen=True, kw_only=True)
class FieldMethod:
    """Optimises a field for each object, and answers with its views or its mesh.

    `score` makes the judge of views from the input, uint8 RGBA of `hw`, for a number of viewpoints; `digest` is of its
    weights. `work` keeps what a stop would lose; nothing is left there.
    """

    score: Callable[[Pixels, int], ViewScore]
    digest: str
    hw: tuple[int, int]
    settings: ReconstructSettings
    device: torch.device
    seed: int
    work: Path

    def views(self, task: Task) -> list[Pixels]:
        """Return a view uint8 RGB (H, W, 3) of the protocol's size for each target."""
        field = self.field(task)
        return [self._view(field, task.truth.views[target], task.hw) for target in task.targets]

    def mesh(self, task: Task) -> Triangles:
        """Return the mesh in the world of the cameras. Raises Failure for an empty field."""
        made = extract(self.field(task), self.settings.mesh).mesh
        return Triangles(made.vertices.astype(np.float64), made.faces.astype(np.int64))

    def field(self, task: Task) -> VoxelField:
        """Optimise the field of an object. Raises Failure as `prepare_input_view` and `optimise_field` do."""
        rgba = resize(task.input_pixels, self.hw, "bicubic")
        camera = camera_with_lens(task.truth.views[task.inputs[0]], Lens(**self.settings.lens.model_dump()))
        cameras = score_viewpoints(self.seed, self.settings.score)
        # The mesh's settings act after the optimisation.
        section = self.settings.model_dump(mode="json", exclude={"mesh", "turntable", "surface"})
        request = digest_json([sha256_bytes(rgba.tobytes()), camera.tolist(), self.digest, section, self.seed])
        folder = self.work / task.truth.uid
        field = optimise_field(
            prepare_input_view(rgba, camera, self.settings, device=str(self.device)),
            cameras,
            self.score(rgba, len(cameras)),
            self.settings,
            seed=self.seed,
            progress=SILENT,
            watchers=(Checkpoint(folder / "optimisation.safetensors", request),),
        )
        shutil.rmtree(folder, ignore_errors=True)
        return field

    @torch.no_grad()
    def _view(self, field: VoxelField, view: TrueView, hw: tuple[int, int]) -> Pixels:
        rays = pinhole_rays(view, hw, str(self.device))
        parts = [
            render(field, rays[slice(first, first + AT_ONCE)], self.settings.samples_per_ray).over(field.background())
            for first in range(0, len(rays), AT_ONCE)
        ]
        return to_bytes(torch.cat(parts).view(*hw, 3).cpu().numpy())


def sjc_i(model: ImageVariations, settings: ReconstructSettings, seed: int, work: Path) -> FieldMethod:
    """Return SJC-I over a model of image variations: the same condition for views from all sides."""
    return FieldMethod(
        score=lambda rgba, count: ModelScore(model, model.condition(rgba, count), settings.score),
        digest=model.digest,
        hw=model.hw,
        settings=settings,
        device=model.device,
        seed=seed,
        work=work,
    )


def dietnerf(
    clip: ClipImages, settings: ReconstructSettings, hw: tuple[int, int], seed: int, work: Path
) -> FieldMethod:
    """Return DietNeRF from a single view over a CLIP, with inputs of `hw`; its weight counts beside the colour's."""

    def score(rgba: Pixels, _count: int) -> ViewScore:
        image = torch.from_numpy(np.asarray(rgb_on_white(rgba), np.float32)).movedim(-1, 0).to(clip.device)
        return ConsistencyScore(clip.embed, image)

    weights = settings.weights.model_copy(update={"score": settings.weights.colour})
    return FieldMethod(
        score=score,
        digest=clip.digest,
        hw=hw,
        settings=settings.model_copy(update={"weights": weights}),
        device=clip.device,
        seed=seed,
        work=work,
    )


def pinhole_rays(view: TrueView, hw: tuple[int, int], device: str) -> Rays:
    """Return the rays through the pixel centres of a view at size `hw`, row by row, for any principal point."""
    pinhole = view.pinhole
    x = (np.arange(hw[1]) + 0.5) * pinhole.hw[1] / hw[1]
    y = (np.arange(hw[0]) + 0.5) * pinhole.hw[0] / hw[0]
    across, down = np.meshgrid((x - pinhole.cx) / pinhole.fx, (y - pinhole.cy) / pinhole.fy)
    in_cam = np.stack([across, -down, -np.ones(hw)], axis=-1).reshape(-1, 3)
    directions = in_cam @ view.cam_from_world[:, :3]
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    origins = np.broadcast_to(camera_centre(view.cam_from_world), directions.shape).copy()
    return Rays(
        torch.from_numpy(origins).to(device, torch.float32), torch.from_numpy(directions).to(device, torch.float32)
    )
