"""What jobs do: sample views of a stored photo, or make its mesh; the files go into the photo's folder."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from base.digest import digest_json
from base.progress import Progress
from base.storage import write_atomically
from geometry.rig import place_cameras
from inference.plan import Move, within_reach
from inference.sample_photo import LoadedModel, Sections, Wanted, input_camera, sample_photo
from inference.sample_views import json_bytes
from inference.settings import ViewsSettings
from photo.masks import MIDDLE
from photo.settings import PhotoSettings
from reconstruct.settings import ReconstructSettings
from web.cutouts import Shown
from web.settings import ServeSettings
from zero123.settings import SampleSettings, SamplingSettings

MESH = "object"
RESULT = "result.json"


class PageSections(Sections, Protocol):
    """The sections of the settings that the page reads."""

    @property
    def reconstruct(self) -> ReconstructSettings:
        """How meshes are made."""
        ...

    @property
    def serve(self) -> ServeSettings:
        """What clients may ask for."""
        ...


@dataclass(frozen=True)
class ModelSections:
    """The settings for a model: `sample` holds its own sampling where a person chose nothing else."""

    photo: PhotoSettings
    sample: SampleSettings
    views: ViewsSettings
    reconstruct: ReconstructSettings

    def as_yaml(self) -> str:
        """Write the values in the form of pipeline.yaml."""
        import yaml

        sections = {name: getattr(self, name).model_dump(mode="json") for name in ("photo", "sample", "views")}
        return yaml.safe_dump({"metadata": {"pipeline": sections}}, sort_keys=False, allow_unicode=True)


@dataclass(frozen=True, kw_only=True)
class ViewsRequest:
    """Views from a photo: their moves, guesses of each, the seed, and the quick or the good quality."""

    moves: tuple[Move, ...]
    guesses: int
    seed: int
    quick: bool
    elevation_deg: float

    def digest(self, photo: str, model: str) -> str:
        """Return the name of the job for a cut-out (its digest) and a model."""
        moves = [[move.polar_rad, move.azimuth_rad, move.radius] for move in self.moves]
        return digest_json(["views", photo, model, moves, self.guesses, self.seed, self.quick, self.elevation_deg])


@dataclass(frozen=True, kw_only=True)
class MeshRequest:
    """The mesh of a photo."""

    seed: int
    elevation_deg: float

    def digest(self, photo: str, model: str) -> str:
        """Return the name of the job for a cut-out (its digest) and a model."""
        return digest_json(["mesh", photo, model, self.seed, self.elevation_deg])


class Workshop:
    """Does the work of jobs with a server's settings; `sample_for` gives the sampling for a model's own defaults."""

    def __init__(self, settings: PageSections, sample_for: Callable[[SamplingSettings], SampleSettings]) -> None:
        self.settings, self._sample_for = settings, sample_for

    def views(
        self, folder: Path, shown: Shown, model: LoadedModel, request: ViewsRequest, progress: Progress
    ) -> dict[str, Any]:
        """Sample the views that `folder` lacks; return its files with their moves."""
        settings = self._for_model(model, quick=request.quick)
        origin = input_camera(settings, request.elevation_deg)
        wanted = Wanted(
            moves=tuple(within_reach(request.moves, origin)),
            samples=request.guesses,
            seed=request.seed,
            picture="png",
            alpha=False,
            films=("webp",) if len(request.moves) > 1 and request.guesses == 1 else (),
        )
        elevation = (request.elevation_deg, {"deg": request.elevation_deg, "source": "given"})
        views = sample_photo(folder, shown.prepared, model, settings, wanted, elevation, progress)
        pictures = [{"file": job.file, "label": job.move.label, "sample": job.sample} for job in views.plan.jobs()]
        return _keep(folder, {"views": pictures, "film": "orbit.webp" if wanted.films else ""})

    def mesh(
        self, folder: Path, shown: Shown, model: LoadedModel, request: MeshRequest, progress: Progress
    ) -> dict[str, Any]:
        """Reconstruct the object; return the file of its mesh."""
        from evaluation.metrics import silhouette_iou
        from inference import object_mesh
        from reconstruct.mesh_files import write_mesh
        from reconstruct.record import reconstruction_record
        from reconstruct.silhouette import silhouette

        settings = self._for_model(model, quick=False)
        rgba = shown.prepared.view(model.pipeline.hw)
        polar = float(np.deg2rad(90.0 - request.elevation_deg))
        (camera,) = place_cameras(np.array([[polar, 0.0, self.settings.photo.framing.radius]]))
        asked = object_mesh.MeshRequest(model=model, rgba=rgba, camera=camera, settings=settings, seed=request.seed)
        finished, photo = object_mesh.finished_mesh(folder, asked, progress), asked.photo
        section = settings.reconstruct
        files = write_mesh(finished.mesh, folder, MESH, section.mesh.also, camera, photo.lens)
        iou = silhouette_iou(silhouette(finished.mesh, camera, photo.lens, photo.hw), rgba[..., 3] > MIDDLE)
        record = reconstruction_record(finished, photo, section.method, iou, files)
        write_atomically(folder / "reconstruction.json", json_bytes(record))
        object_mesh.forget_progress(folder)
        return _keep(folder, {"mesh": files[0], "faces": finished.facts.faces})

    def _for_model(self, model: LoadedModel, *, quick: bool) -> ModelSections:
        sample = self._sample_for(model.pipeline.defaults)
        made = ModelSections(self.settings.photo, sample, self.settings.views, self.settings.reconstruct)
        if not quick:
            return made
        share = self.settings.serve.quick
        steps = min(sample.steps, max(share.steps, round(share.share * sample.steps)))
        quicker = {"sampler": "unipc", "eta": 0.0, "timesteps": "all", "steps": steps}
        return replace(made, sample=sample.model_copy(update=quicker))


def kept_result(folder: Path) -> dict[str, Any] | None:
    """Return what a job found when it ended; None while it has not."""
    try:
        return dict(json.loads((folder / RESULT).read_bytes()))
    except FileNotFoundError:
        return None


def _keep(folder: Path, result: dict[str, Any]) -> dict[str, Any]:
    write_atomically(folder / RESULT, json_bytes(result))
    return result
