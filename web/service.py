"""The server's state and what requests do with it, without HTTP: photos, models, the queue of jobs."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import radians
from pathlib import Path
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread

from base.progress import Progress
from inference.plan import Move, orbit_moves, picture_digest
from web.browse.datasets import BrowsedDataset
from web.browse.shelf import Shelf
from web.cutouts import Shown
from web.errors import Refused, unknown
from web.jobs import Job, Jobs
from web.limits import RateLimit
from web.models import Load, Models
from web.photos import PhotoStore, StoredPhoto
from web.schemas import MeshBody, MoveRequest, ViewsBody
from web.stopping import OpenRequests
from web.work import MeshRequest, PageSections, ViewsRequest, Workshop
from zero123.settings import SampleSettings, SamplingSettings

Made = TypeVar("Made")


@dataclass(frozen=True)
class ModelSource:
    """The models to serve: their names, how they are loaded, and the sampling for a model's own defaults."""

    names: Sequence[str]
    load: Load
    sample_for: Callable[[SamplingSettings], SampleSettings]


class Service:
    """Everything behind the API."""

    def __init__(self, settings: PageSections, models: ModelSource, root: Path, shelf: Shelf | None = None) -> None:
        serve = settings.serve
        self.settings, self.shelf = settings, shelf or Shelf()
        self._datasets = {
            one.name: BrowsedDataset(one.name, one.where) for one in self.shelf.entries if one.kind == "dataset"
        }
        self.models = Models(models.names, models.load, serve.models_mb << 20)
        self.photos = PhotoStore(
            root, settings.photo, expire_s=serve.expire_minutes * 60.0, most_per_client=serve.limits.photos
        )
        self.jobs = Jobs(most=serve.limits.waiting, most_per_client=serve.limits.waiting_per_client)
        self.rate = RateLimit(serve.limits.requests_per_minute)
        self.open_requests = OpenRequests()
        self._cutting = CapacityLimiter(os.cpu_count() or 1)
        self._workshop = Workshop(settings, models.sample_for)

    def warm_up(self) -> None:
        """Load the first model, so that the first photo need not wait. Raises as the loader does."""
        self.models.get(self.models.names[0])

    async def cut(self, function: Callable[..., Made], *arguments: object) -> Made:
        """Call a function that cuts a photo out, in a thread and in turn; a photo may need a gigabyte meanwhile."""
        return await to_thread.run_sync(partial(function, *arguments), limiter=self._cutting, abandon_on_cancel=True)

    def sample(self, photo: StoredPhoto, body: ViewsBody, client: str) -> Job:
        """Queue views of a photo. Raises Refused beyond the limits."""
        limits = self.settings.serve.limits
        moves = [*map(_move, body.moves)] or orbit_moves(body.orbit)
        for what, most, got in (("views", limits.views, len(moves)), ("guesses", limits.guesses, body.guesses)):
            if got > most:
                raise Refused(422, f"{what}: expected at most {most}, got {got}")
        request = ViewsRequest(
            moves=tuple(moves),
            guesses=body.guesses,
            seed=body.seed,
            quick=body.quality == "quick",
            elevation_deg=self._elevation(body.elevation_deg),
        )
        # The kind has its own average of seconds, and single views pass long jobs.
        is_single = len(moves) * body.guesses == 1
        kind = f"{body.quality} view" if is_single else "views"
        return self._submit(photo, body.model, client, kind, request)

    def mesh(self, photo: StoredPhoto, body: MeshBody, client: str) -> Job:
        """Queue the mesh of a photo."""
        request = MeshRequest(seed=body.seed, elevation_deg=self._elevation(body.elevation_deg))
        return self._submit(photo, body.model, client, "mesh", request)

    def job(self, photo: StoredPhoto, name: str) -> Job:
        """Find a photo's job."""
        return self.jobs.get(f"{photo.name}/{name}")

    def dataset(self, name: str) -> BrowsedDataset:
        """Find a browsed dataset. Raises Refused (404)."""
        if name not in self._datasets:
            raise unknown("dataset")
        return self._datasets[name]

    def close(self) -> None:
        """Stop the running job at its next step."""
        self.jobs.close()

    def _submit(
        self, photo: StoredPhoto, model: str | None, client: str, kind: str, request: ViewsRequest | MeshRequest
    ) -> Job:
        name = self.models.check(model)
        shown = self.photos.shown(photo)
        shown.check()
        digest = request.digest(picture_digest(shown.prepared.cut_out), name)
        folder = photo.result(digest)

        def work(progress: Progress) -> dict[str, Any]:
            return self._work(folder, shown, name, request, progress)

        return self.jobs.submit(Job(f"{photo.name}/{digest}", kind, client, work, short=kind.endswith(" view")))

    def _work(
        self, folder: Path, shown: Shown, model: str, request: ViewsRequest | MeshRequest, progress: Progress
    ) -> dict[str, Any]:
        loaded = self.models.get(model)
        if isinstance(request, MeshRequest):
            return self._workshop.mesh(folder, shown, loaded, request, progress)
        return self._workshop.views(folder, shown, loaded, request, progress)

    def _elevation(self, given: float | None) -> float:
        return self.settings.serve.elevation_deg if given is None else given


def _move(body: MoveRequest) -> Move:
    return Move(polar_rad=-radians(body.up_deg), azimuth_rad=radians(body.right_deg), radius=body.away)
