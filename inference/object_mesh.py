"""From an input view and a loaded model to a textured mesh, by either method; a stop loses little of the work."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from base.data_files import read_named
from base.digest import digest_json
from base.errors import UsageError
from base.progress import Progress
from base.storage import write_atomically
from geometry.camera import Lens, camera_centre
from geometry.rig import RIGS, Rig, Viewpoint
from geometry.sphere import spherical_from_cartesian
from inference.plan import Move, moves_of_rig, picture_digest, within_reach
from inference.sample_photo import LoadedModel, Sections, Wanted, artists, view_plan
from inference.sample_views import json_bytes, sample_into
from reconstruct.checkpoint import Checkpoint, Preview
from reconstruct.finish import Finished, Photo, finish_field, finish_mesh
from reconstruct.mesh_files import write_mesh
from reconstruct.optimise import reconstruct
from reconstruct.record import reconstruction_record
from reconstruct.sampled import fit_sampled_views
from reconstruct.settings import ReconstructSettings
from reconstruct.simplify import surface_mesh

CHECKPOINT, PREVIEW, VIEWS = "optimisation.safetensors", "preview.webp", "views"


class MeshSections(Sections, Protocol):
    """The sections of the settings that decide how a photo's mesh looks."""

    @property
    def reconstruct(self) -> ReconstructSettings:
        """How meshes are made."""
        ...


@dataclass(frozen=True, kw_only=True)
class MeshRequest:
    """All inputs of a mesh: the model, the input view `rgba` (H, W, 4) with its camera (3, 4), settings and seed.

    The settings hold the sampling defaults of the model already.
    """

    model: LoadedModel
    rgba: NDArray[np.uint8]
    camera: NDArray[np.float64]
    settings: MeshSections
    seed: int

    @property
    def photo(self) -> Photo:
        """Return the input view with its camera and lens."""
        return Photo(self.rgba, self.camera, Lens(**self.settings.reconstruct.lens.model_dump()))

    @property
    def viewpoint(self) -> Viewpoint:
        """Return the input's camera in spherical coordinates."""
        polar, azimuth, radius = (float(value) for value in spherical_from_cartesian(camera_centre(self.camera)))
        return Viewpoint(polar_rad=polar, azimuth_rad=azimuth, radius=radius)

    def field_digest(self) -> str:
        """Digest all inputs of the optimised field, which a checkpoint must share."""
        # These sections act after the optimisation, so changing them must not discard a checkpoint.
        optimisation = self.settings.reconstruct.model_dump(mode="json", exclude={"mesh", "turntable", "surface"})
        return digest_json(
            [picture_digest(self.rgba), self.camera.tolist(), self.model.digest, optimisation, self.seed]
        )


def finished_mesh(folder: Path, request: MeshRequest, progress: Progress) -> Finished:
    """Make the mesh of a request by `reconstruct.method`. Killed at any moment, the same call goes on from `folder`.

    `write_object` writes it, and removes what is then of no more use.
    """
    make = _from_views if request.settings.reconstruct.method == "views" else _from_score
    return make(folder, request, progress)


def write_object(folder: Path, name: str, finished: Finished, request: MeshRequest, iou: float) -> list[str]:
    """Write the mesh as NAME.glb and in the other formats, and `reconstruction.json`; return the meshes' file names.

    `iou` is that of its silhouette with the photo's. The record comes last, and the checkpoint goes.
    """
    section, photo = request.settings.reconstruct, request.photo
    files = write_mesh(finished.mesh, folder, name, section.mesh.also, photo.camera, photo.lens)
    record = reconstruction_record(finished, photo, section.method, iou, files)
    write_atomically(folder / "reconstruction.json", json_bytes(record))
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return files


def _from_score(folder: Path, request: MeshRequest, progress: Progress) -> Finished:
    """Optimise a density field with the model's score."""
    section, photo = request.settings.reconstruct, request.photo
    watchers = (
        Checkpoint(folder / CHECKPOINT, request.field_digest()),
        Preview(folder / PREVIEW, photo.lens, section.turntable.radius, section.samples_per_ray),
    )
    field = reconstruct(
        request.model.pipeline,
        request.rgba,
        request.camera,
        section,
        seed=request.seed,
        progress=progress,
        watchers=watchers,
    )
    return finish_field(field, photo, section, seed=request.seed)


def _from_views(folder: Path, request: MeshRequest, progress: Progress) -> Finished:
    """Sample the rig's views that are missing in `folder`/views, and fit a surface to all."""
    settings, model, origin = request.settings, request.model, request.viewpoint
    moves = tuple(_rig_moves(request))
    # The surface is cut from silhouettes, so the views need alpha, and PNG keeps it exactly.
    wanted = Wanted(moves=moves, samples=1, seed=request.seed, picture="png", alpha=True, films=())
    plan = view_plan(model, request.rgba, settings, wanted, origin)
    facts: dict[str, Any] = {"model": {"from": model.source, "digest": model.digest}}
    draw, matte = artists(model, request.rgba, settings, origin)
    sampled = sample_into(folder / VIEWS, plan, facts, draw, matte, progress)
    images = np.stack([sampled.pixels(job) for job in plan.jobs()]).astype(np.float32) / 255.0
    views = (images, plan.cameras())
    surface = fit_sampled_views(request.photo, *views, settings.reconstruct)
    mesh = surface_mesh(surface, settings.reconstruct.mesh.faces)
    return finish_mesh(mesh, request.photo, views, settings.reconstruct)


def _rig_moves(request: MeshRequest) -> list[Move]:
    name, photo = request.settings.reconstruct.views.rig, request.photo
    rig = read_named(Rig, name, RIGS, "reconstruct.views.rig")
    try:
        return within_reach(moves_of_rig(rig, request.viewpoint, photo.lens, request.seed), request.viewpoint)
    except ValueError as error:
        raise UsageError(f"reconstruct.views.rig {name}: {error}") from None
