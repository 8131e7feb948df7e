"""`--on ray`: many pictures by the crew that builds datasets, as a versioned dataset of views."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.commands.options import settings_of
from app.settings import Settings
from base.errors import UsageError
from base.progress import Progress
from base.settings import Layer, validate
from inference.cameras import AskedCameras
from inference.picture_request import PictureSections, ViewsRequest
from inference.pictures import picture_objects
from inference.sample_stage import SampleStage, absolute_model, describe_model
from photo.batch import BatchPicture
from photo.settings import PhotoSettings
from photo.source import STANDARD_INPUT
from pipeline.catalog.tables import VersionFacts
from zero123.settings import SamplingSettings

if TYPE_CHECKING:
    from inference.picture_request import ModelFacts
    from pipeline.update import Order


def sample_many(
    options: argparse.Namespace,
    pictures: Sequence[BatchPicture],
    photo: PhotoSettings,
    cameras: AskedCameras,
    progress: Progress,
) -> int:
    """Bring the dataset at --out up to date with the pictures; the exit code is 0 also where some of them failed."""
    from pipeline.update import bring_up_to_date

    _check_flags(options, pictures)
    settings = settings_of(options).model_copy(update={"photo": photo})
    choice = absolute_model(options.model)
    facts = describe_model(choice, options.device, _sections(settings))
    _check_model(options, settings, facts, pictures)
    # Once more, over the model's own sampling defaults, which are known only now.
    defaults = validate(SamplingSettings, Layer("the model", facts.sampling))
    settings = settings_of(options, defaults).model_copy(update={"photo": photo})
    request = ViewsRequest(
        cameras=cameras,
        samples=options.samples,
        alpha=options.alpha,
        assume_cut_out=options.assume_cut_out,
        elevation_deg=options.elevation_deg,
    )
    stage = SampleStage(choice, facts, options.device, _sections(settings), request)
    order = sample_order(str(options.out), pictures, stage, settings, progress)
    bring_up_to_date(order, progress, dry_run=options.dry_run)
    return 0


def sample_order(
    root: str, pictures: Sequence[BatchPicture], stage: SampleStage, settings: Settings, progress: Progress
) -> "Order":
    """Return the views of pictures as an order."""
    from base.digest import digest_json
    from pipeline.update import Order

    recorded = {**stage.recorded, "shards": settings.shards.model_dump(mode="json")}
    return Order(
        root=root,
        items=lambda: picture_objects(pictures, progress),
        stage=stage,
        run=settings.run,
        shards=settings.shards,
        fetch=settings.objects.fetch,
        objaverse=settings.objects.objaverse,
        filter=None,
        facts=VersionFacts(digest_json(recorded), stage.views, stage.facts.hw, recorded),
        settings=settings.model_dump(mode="json", include={"run", "shards", "photo", "sample", "views"}),
    )


def _sections(settings: Settings) -> PictureSections:
    return PictureSections(photo=settings.photo, sample=settings.sample, views=settings.views)


def _check_flags(options: argparse.Namespace, pictures: Sequence[BatchPicture]) -> None:
    if options.film:
        raise UsageError("--film: expected no film with --on ray, whose views are shards of a dataset")
    if options.picture is not None:
        raise UsageError("--picture: expected nothing with --on ray, whose views are lossless WebP")
    if any(picture.source == STANDARD_INPUT for picture in pictures):
        raise UsageError("expected picture files with --on ray, got standard input")


def _check_model(
    options: argparse.Namespace, settings: Settings, facts: "ModelFacts", pictures: Sequence[BatchPicture]
) -> None:
    needy = facts.pose_slot4 == "input_polar" and options.elevation_deg is None
    if needy and (lacking := next((one.source for one in pictures if one.elevation_deg is None), None)) is not None:
        raise UsageError(
            f"{lacking}: this model needs the elevation of the input's camera: --elevation-deg DEG or auto"
        )
    # Without a share of a GPU, Ray shows all GPUs to all workers, and each would take the first.
    if not facts.device.startswith("kind CPU") and not settings.run.gpus_per_worker:
        raise UsageError(
            f"run.gpus_per_worker: expected more than 0 on a machine with {facts.device.removeprefix('kind ')}, got 0; "
            "or --device cpu"
        )
