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
RESULT, MADE_BY = "result.json", "made_by"


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

    def digest(self, model: LoadedModel) -> str:
        """Digest what a result depends on beside its request: the weights and all settings."""
        sections = [self.photo, self.sample, self.views, self.reconstruct]
        return digest_json([model.digest, *(section.model_dump(mode="json") for section in sections)])

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
        settings = self._for_model(model, quick=request.quick, guesses=request.guesses)
        if (kept := _kept_result(folder, settings.digest(model))) is not None:
            return kept
        origin = input_camera(settings, request.elevation_deg)
        wanted = Wanted(
            moves=tuple(within_reach(request.moves, origin)),
            samples=request.guesses,
            seed=request.seed,
            picture="png",
            alpha=False,
            # A film of a single view does not move, and several guesses are no sequence.
            films=("webp",) if len(request.moves) > 1 and request.guesses == 1 else (),
        )
        elevation = (request.elevation_deg, {"deg": request.elevation_deg, "source": "given"})
        views = sample_photo(folder, shown.prepared, model, settings, wanted, elevation, progress)
        pictures = [{"file": job.file, "label": job.move.label, "sample": job.sample} for job in views.plan.jobs()]
        result = {"views": pictures, "film": "orbit.webp" if wanted.films else ""}
        return _keep_result(folder, result, settings.digest(model))

    def mesh(
        self, folder: Path, shown: Shown, model: LoadedModel, request: MeshRequest, progress: Progress
    ) -> dict[str, Any]:
        """Reconstruct the object; return the file of its mesh."""
        from evaluation.metrics import silhouette_iou
        from inference import object_mesh
        from reconstruct.silhouette import silhouette

        settings = self._for_model(model, quick=False, guesses=1)
        if (kept := _kept_result(folder, settings.digest(model))) is not None:
            return kept
        rgba = shown.prepared.view(model.pipeline.hw)
        polar = float(np.deg2rad(90.0 - request.elevation_deg))
        # The photo's azimuth is unknown and free: 0 makes the mesh face the camera.
        (camera,) = place_cameras(np.array([[polar, 0.0, self.settings.photo.framing.radius]]))
        asked = object_mesh.MeshRequest(model=model, rgba=rgba, camera=camera, settings=settings, seed=request.seed)
        finished, photo = object_mesh.finished_mesh(folder, asked, progress), asked.photo
        iou = silhouette_iou(silhouette(finished.mesh, camera, photo.lens, photo.hw), rgba[..., 3] > MIDDLE)
        files = object_mesh.write_object(folder, MESH, finished, asked, iou)
        return _keep_result(folder, {"mesh": files[0], "faces": finished.facts.faces}, settings.digest(model))

    def _for_model(self, model: LoadedModel, *, quick: bool, guesses: int) -> ModelSections:
        sample = self._sample_for(model.pipeline.defaults)
        if guesses > 1:
            sample = sample.model_copy(update={"steps": max(sample.steps, self.settings.serve.guess_steps)})
        made = ModelSections(self.settings.photo, sample, self.settings.views, self.settings.reconstruct)
        if not quick:
            return made
        share = self.settings.serve.quick
        # Quick never means more steps than the good quality.
        steps = min(sample.steps, max(share.steps, round(share.share * sample.steps)))
        # UniPC is deterministic and needs fewer steps; eta and the original's timesteps belong to DDIM.
        quicker = {"sampler": "unipc", "eta": 0.0, "timesteps": "all", "steps": steps}
        return replace(made, sample=sample.model_copy(update=quicker))


def _kept_result(folder: Path, made_by: str) -> dict[str, Any] | None:
    """Return the result of an earlier server with the same model and settings; None without such a result."""
    try:
        kept = dict(json.loads((folder / RESULT).read_bytes()))
    except FileNotFoundError:
        return None
    return kept if kept.get(MADE_BY) == made_by else None


def _keep_result(folder: Path, result: dict[str, Any], made_by: str) -> dict[str, Any]:
    kept = {**result, MADE_BY: made_by}
    write_atomically(folder / RESULT, json_bytes(kept))
    return kept
