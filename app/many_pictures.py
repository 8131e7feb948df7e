"""`--on ray`: many pictures by the crew that builds datasets, as a versioned dataset of views and meshes."""

import argparse
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from app.settings import Settings
from base.digest import digest_json
from base.errors import UsageError
from base.progress import Progress
from base.settings import Layer, Section, validate
from inference.cameras import AskedCameras
from inference.dataset_views import DatasetViews
from inference.picture_request import MeshesRequest, PictureSections, ViewsRequest
from inference.picture_stages import PictureStage, ReconstructStage, SampleStage, absolute_model, describe_model
from inference.pictures import picture_objects
from photo.batch import BatchPicture
from photo.source import STANDARD_INPUT
from zero123.settings import SamplingSettings

if TYPE_CHECKING:
    from inference.picture_request import ModelFacts
    from pipeline.catalog.objects import SourceObject
    from pipeline.update import Order

Pictures = Sequence[BatchPicture] | DatasetViews
Ask = Callable[[Section | None], Settings]
"""From a model's sampling defaults to the settings that the flags ask for."""


def sample_many(
    options: argparse.Namespace,
    pictures: Pictures,
    cameras: AskedCameras,
    ask: Ask,
    progress: Progress,
) -> int:
    """Bring the dataset at --out up to date with the views of pictures; the exit code is 0 also where some failed."""
    _refuse(options.film, "--film: expected no film, because --on ray puts views into shards")
    _refuse(options.picture, "--picture: expected nothing, because --on ray makes lossless WebP")
    facts, settings = _describe(options, pictures, ask)
    request = ViewsRequest(
        cameras=cameras,
        samples=options.samples,
        alpha=options.alpha,
        assume_cut_out=options.assume_cut_out,
        elevation_deg=options.elevation_deg,
    )
    stage = SampleStage(absolute_model(options.model), facts, options.device, _sections(settings), request)
    return _bring_up_to_date(options, pictures, stage, settings, progress)


def reconstruct_many(options: argparse.Namespace, pictures: Pictures, ask: Ask, progress: Progress) -> int:
    """Bring the dataset at --out up to date with the meshes of pictures, see `sample_many`."""
    turn = "because --on ray puts turntables into shards as views"
    _refuse(options.turntable, f"--turntable: expected no film, {turn}")
    _refuse(options.turntable_passes, f"--turntable-passes: expected nothing, {turn}")
    _refuse(options.render == "cycles", f"--render: expected quick, {turn}, got cycles")
    _refuse(options.mesh_format, "--mesh-format: expected nothing, because --on ray makes GLB")
    facts, settings = _describe(options, pictures, ask)
    request = MeshesRequest(
        seed=options.seed,
        radius=options.radius,
        assume_cut_out=options.assume_cut_out,
        elevation_deg=options.elevation_deg,
    )
    stage = ReconstructStage(absolute_model(options.model), facts, options.device, _sections(settings), request)
    return _bring_up_to_date(options, pictures, stage, settings, progress)


def picture_order(
    root: str, pictures: Pictures, stage: PictureStage, settings: Settings, progress: Progress
) -> "Order":
    """Return the work of a stage on pictures as an order."""
    from pipeline.catalog.tables import VersionFacts
    from pipeline.update import Order

    recorded = {**stage.recorded, "shards": settings.shards.model_dump(mode="json")}
    return Order(
        root=root,
        items=lambda: _items(pictures, progress),
        stage=stage,
        run=settings.run,
        shards=settings.shards,
        fetch=settings.objects.fetch,
        objaverse=settings.objects.objaverse,
        filter=None,
        facts=VersionFacts(digest_json(recorded), stage.views, stage.hw, recorded),
        settings=settings.model_dump(mode="json", include={"run", "shards", *PictureSections.model_fields}),
    )


def _items(pictures: Pictures, progress: Progress) -> "Iterable[SourceObject]":
    return pictures.items(progress) if isinstance(pictures, DatasetViews) else picture_objects(pictures, progress)


def _bring_up_to_date(
    options: argparse.Namespace,
    pictures: Pictures,
    stage: PictureStage,
    settings: Settings,
    progress: Progress,
) -> int:
    from pipeline.update import bring_up_to_date

    order = picture_order(str(options.out), pictures, stage, settings, progress)
    bring_up_to_date(order, progress, dry_run=options.dry_run, retry=options.retry)
    return 0


def _refuse(given: object, sentence: str) -> None:
    if given:
        raise UsageError(sentence)


def _describe(options: argparse.Namespace, pictures: Pictures, ask: Ask) -> tuple["ModelFacts", Settings]:
    """Return the model's facts, and the settings over its sampling defaults. Raises UsageError for what cannot work."""
    # The elevation of a dataset's views is known.
    listed = () if isinstance(pictures, DatasetViews) else pictures
    if any(picture.source == STANDARD_INPUT for picture in listed):
        raise UsageError("expected picture files with --on ray, got standard input")
    settings = ask(None)
    facts = describe_model(absolute_model(options.model), options.device, _sections(settings))
    needy = facts.pose_slot4 == "input_polar" and options.elevation_deg is None
    if needy and (lacking := next((one.source for one in listed if one.elevation_deg is None), None)) is not None:
        raise UsageError(
            f"{lacking}: this model needs the elevation of the input's camera: --elevation-deg DEG or auto"
        )
    # Without a share of a GPU, Ray shows all GPUs to all workers, and each would take the first.
    if not facts.device.startswith("kind CPU") and not settings.run.gpus_per_worker:
        raise UsageError(
            f"run.gpus_per_worker: expected more than 0 on a machine with {facts.device.removeprefix('kind ')}, got 0; "
            "or --device cpu"
        )
    return facts, ask(validate(SamplingSettings, Layer("the model", facts.sampling)))


def _sections(settings: Settings) -> PictureSections:
    return PictureSections(**{name: getattr(settings, name) for name in PictureSections.model_fields})
