"""From a prepared photo and a loaded model to a folder of views."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from base.progress import Progress
from base.storage import write_atomically
from geometry.rig import Viewpoint
from inference.plan import Move, Picture, ViewPlan, picture_digest
from inference.settings import ViewsSettings
from inference.views_folder import ViewsFolder
from photo.settings import PhotoSettings
from zero123.settings import SampleSettings

if TYPE_CHECKING:
    from inference.sample_views import Draw, Matte
    from photo.prepare import Prepared
    from zero123.pipeline import Zero123Pipeline


class Sections(Protocol):
    """The sections of the settings that decide how a photo's views look."""

    @property
    def photo(self) -> PhotoSettings:
        """How photos are prepared."""
        ...

    @property
    def sample(self) -> SampleSettings:
        """How views are sampled, and the device's share."""
        ...

    @property
    def views(self) -> ViewsSettings:
        """What is made of views."""
        ...

    def as_yaml(self) -> str:
        """Write the values as text for settings.yaml."""
        ...


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a person asked for: which views, how many guesses of each, and as what files."""

    moves: tuple[Move, ...]
    samples: int
    seed: int
    picture: Picture
    alpha: bool
    films: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model, its digest, and where it came from."""

    pipeline: "Zero123Pipeline"
    digest: str
    source: str


def input_camera(settings: Sections, elevation_deg: float | None) -> Viewpoint:
    """The camera that the photo counts as taken with; the height is unknown for None."""
    polar = None if elevation_deg is None else float(np.deg2rad(90.0 - elevation_deg))
    return Viewpoint(polar_rad=polar, radius=settings.photo.framing.radius)


def sample_photo(
    folder: Path,
    photo: "Prepared",
    model: LoadedModel,
    settings: Sections,
    wanted: Wanted,
    elevation: tuple[float | None, dict[str, Any]],
    progress: Progress,
) -> ViewsFolder:
    """Make the views that `folder` lacks, then the preparation's picture, cameras, contact sheet and films.

    `elevation` is the input camera's, None if unknown, with facts about it for views.json. `settings` hold the sampling
    defaults of the model already.
    """
    from inference.sample_views import sample_into
    from photo.shown import preparation_picture
    from report.images import encode_image

    pipeline, rgba = model.pipeline, photo.view(model.pipeline.hw)
    plan = view_plan(model, rgba, settings, wanted, input_camera(settings, elevation[0]))
    facts = {
        "model": {"from": model.source, "digest": model.digest},
        "photo": {**photo.facts(), "prepared_sha256": picture_digest(rgba)},
        "sampling": plan.decides["sampling"],
        "elevation": elevation[1],
    }
    # Before the sampling, so that a bad cut-out is seen while there is still time to stop.
    write_atomically(folder / "prepared.png", encode_image(preparation_picture(photo, pipeline.hw), "png"))
    views = sample_into(folder, plan, facts, *artists(model, rgba, settings, plan.origin), progress)
    _write_outputs(views, rgba, wanted.films, settings)
    return views


def view_plan(
    model: LoadedModel, rgba: NDArray[np.uint8], settings: Sections, wanted: Wanted, origin: Viewpoint
) -> ViewPlan:
    """Plan the wanted views of an input view (H, W, 4), taken from `origin`."""
    return ViewPlan(
        moves=wanted.moves,
        samples=wanted.samples,
        seed=wanted.seed,
        origin=origin,
        lens=settings.photo.framing.lens(),
        hw=model.pipeline.hw,
        picture=wanted.picture,
        alpha=wanted.alpha,
        # Only what changes pixels: the number of views at once is left out, so it may change between two runs.
        decides={
            "photo": picture_digest(rgba),
            "model": model.digest,
            "sampling": settings.sample.sampling().model_dump(mode="json"),
            "precision": settings.sample.compute.precision,
            "alpha": settings.views.alpha.model_dump(mode="json") if wanted.alpha else {},
        },
    )


def artists(
    model: LoadedModel, rgba: NDArray[np.uint8], settings: Sections, origin: Viewpoint
) -> tuple["Draw", "Matte"]:
    """Return what draws views of an input view (H, W, 4), and what takes their background away."""
    from inference.matting import matte_on_white

    draw = partial(_draw, model.pipeline, rgba, settings, origin.polar_rad)
    return draw, partial(matte_on_white, settings=settings.views.alpha)


def _draw(
    pipeline: "Zero123Pipeline",
    rgba: NDArray[np.uint8],
    settings: Sections,
    polar_rad: float | None,
    poses: NDArray[np.float64],
    seeds: Sequence[int],
) -> Iterator[NDArray[np.uint8]]:
    return pipeline.batches(
        rgba,
        pipeline.adapt_poses(poses, polar_rad),
        seeds=seeds,
        sampling=settings.sample.sampling(),
        views_at_once=settings.sample.compute.views_at_once,
    )


def _write_outputs(views: ViewsFolder, rgba: NDArray[np.uint8], films: Sequence[str], settings: Sections) -> None:
    from inference.view_outputs import write_cameras, write_film, write_sheet

    write_cameras(views)
    write_sheet(views, rgba)
    # A kind asked for twice is written once.
    for kind in dict.fromkeys(films):
        write_film(views, kind, settings.views.film_fps)
    write_atomically(views.folder / "settings.yaml", settings.as_yaml().encode())
