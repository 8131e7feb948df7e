"""A picture's views as the files of a sample: lossless views, cameras, the prepared input, and the record of all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from base.digest import canonical_json
from base.errors import Failure, UsageError
from base.outcomes import Outcome
from base.storage import write_atomically
from geometry.camera import camera_centre
from geometry.sphere import spherical_from_cartesian
from inference.find_elevation import find_elevation
from inference.matting import matte_on_white
from inference.picture_request import SCHEMA, PictureJob, PictureSections, ViewsRequest
from inference.plan import ViewPlan, picture_digest, poses_of
from inference.sample_photo import LoadedModel, Wanted, input_camera, view_plan
from photo.prepare import Prepared, prepare
from shards.arrays import npy_bytes
from shards.image import encode_rgba
from shards.sample import INPUT, view_suffix
from zero123.picture import rgba_of

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
MOST_ON_CPU = 8


class UnusablePicture(Exception):
    """A file without a picture, or a picture without a clear object, as `outcome` tells."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome


@dataclass(frozen=True, kw_only=True)
class PlannedViews:
    """A prepared picture with the views to be sampled: `rgba` (H, W, 4) and its `plan`. `facts` go into the record."""

    job: PictureJob
    rgba: Pixels
    plan: ViewPlan
    warnings: str
    facts: dict[str, Any]


def plan_picture_views(
    job: PictureJob,
    model: LoadedModel,
    sections: PictureSections,
    request: ViewsRequest,
    enter: Callable[[str], None],
) -> PlannedViews:
    """Prepare a picture. Raises UnusablePicture; UsageError and Failure are about the settings."""
    photo = prepared_picture(job, sections, request.assume_cut_out, enter)
    rgba = photo.view(model.pipeline.hw)
    elevation, source = find_or_given(job, rgba, model, sections, (request.elevation_deg, request.cameras.seed), enter)
    origin = input_camera(sections, elevation)
    wanted = Wanted(
        moves=request.cameras.moves_from(origin, sections.photo.framing.lens()),
        samples=request.samples,
        seed=request.cameras.seed,
        picture="webp",
        alpha=request.alpha,
        films=(),
    )
    facts = {"elevation": {"deg": float(elevation or 0.0), "source": source}, "photo": photo_facts(photo, rgba)}
    return PlannedViews(
        job=job,
        rgba=rgba,
        plan=view_plan(model, rgba, sections, wanted, origin),
        warnings="; ".join(photo.warnings),
        facts=facts,
    )


def sample_planned(
    planned: Sequence[PlannedViews], model: LoadedModel, sections: PictureSections, enter: Callable[[str], None]
) -> list[list[Pixels]]:
    """Sample the views (H, W, 3) of pictures in common batches; a list for each picture.

    A view depends on its own picture and seed alone: the batch changes it by rounding at most.
    """
    pipeline, poses, seeds, which = model.pipeline, list[Floats](), list[int](), list[int]()
    for number, one in enumerate(planned):
        jobs = one.plan.jobs()
        # Each by its own elevation, which some models are given with the pose.
        poses.append(pipeline.adapt_poses(poses_of([job.move for job in jobs]), one.plan.origin.polar_rad))
        seeds += [job.seed for job in jobs]
        which += [number] * len(jobs)
    batches = pipeline.batches_of_pictures(
        np.stack([one.rgba for one in planned]),
        which,
        np.concatenate(poses),
        seeds=seeds,
        sampling=sections.sample.sampling(),
        views_at_once=sections.sample.compute.views_at_once,
    )
    views: list[list[Pixels]] = [[] for _ in planned]
    enter("sample")
    owners = iter(which)
    for batch in batches:
        for pixels in batch:
            views[next(owners)].append(pixels)
        # Each batch has the whole deadline.
        enter("sample")
    return views


def write_planned(
    planned: PlannedViews, views: Sequence[Pixels], model: LoadedModel, sections: PictureSections
) -> tuple[int, str]:
    """Write all files of a picture into its job's folder; return the number of views, and warnings about the photo."""
    plan = planned.plan
    rgba = [
        matte_on_white(pixels, sections.views.alpha) if plan.alpha else rgba_of(pixels, plan.hw) for pixels in views
    ]
    cameras = plan.cameras()[[one.view for one in plan.jobs()]]
    write_views(planned.job, rgba, cameras, planned.rgba, {**_record(plan, model), **planned.facts})
    return len(rgba), planned.warnings


def write_views(
    job: PictureJob, views: Sequence[Pixels], cameras: Floats, rgba: Pixels, record: dict[str, Any]
) -> None:
    """Write RGBA views (H, W, 4) with their cameras (V, 3, 4), the input view, and the record."""
    out = Path(job.out)
    for number, view in enumerate(views):
        write_atomically(out / view_suffix(number), encode_rgba(view))
    write_atomically(out / INPUT, encode_rgba(rgba))
    write_atomically(out / "extrinsics.npy", npy_bytes(cameras))
    whole = {"schema": SCHEMA, "uid": job.uid, "passes": "", "input": INPUT, **record}
    # Last: it describes all other files.
    write_atomically(out / "views.json", canonical_json(whole).encode())


def prepared_picture(
    job: PictureJob, sections: PictureSections, assume_cut_out: bool, enter: Callable[[str], None]
) -> Prepared:
    """Read and cut out a picture. Raises UnusablePicture."""
    enter("prepare")
    mask = Path(job.mask) if job.mask else None
    try:
        return prepare(job.file, sections.photo, mask=mask, assume_cut_out=assume_cut_out)
    except UsageError as error:
        raise UnusablePicture(Outcome.CORRUPT, str(error)) from None
    except Failure as error:
        raise UnusablePicture(Outcome.EMPTY, str(error)) from None


def find_or_given(
    job: PictureJob,
    rgba: Pixels,
    model: LoadedModel,
    sections: PictureSections,
    asked: tuple[float | str | None, int],
    enter: Callable[[str], None],
) -> tuple[float | None, str]:
    """Return the elevation of the picture's camera in degrees, None if unknown, and its source.

    `asked` is the elevation of all pictures, `auto` to be found, and the seed.
    """
    given = asked[0] if job.elevation_deg is None else job.elevation_deg
    if given == "auto":
        enter("elevation")
        found = find_elevation(model.pipeline, rgba, sections, asked[1])
        return round(found.deg, 2), f"estimated by {found.method}, ± {found.spread_deg:.0f}°"
    return (None, "assumed, for the cameras' matrices alone") if given is None else (float(given), "given")


def photo_facts(photo: Prepared, rgba: Pixels) -> dict[str, Any]:
    """Return what a sample's facts say about the preparation of its picture."""
    # The name of the file is the object's title, and lists may not be empty in a sample's facts.
    facts = {name: value for name, value in photo.facts().items() if name not in ("photo", "warnings")}
    return {**facts, "warnings": "; ".join(photo.warnings), "prepared_sha256": picture_digest(rgba)}


def _record(plan: ViewPlan, model: LoadedModel) -> dict[str, Any]:
    polar, azimuth, radius = (float(value) for value in plan.input_place)
    return {
        "hw": list(plan.hw),
        "lens": {"focal_mm": plan.lens.focal_mm, "sensor_mm": plan.lens.sensor_mm},
        "input_camera": {"polar_rad": polar, "azimuth_rad": azimuth, "radius": radius},
        "model": {"from": model.source, "digest": model.digest},
        "sampling": plan.decides["sampling"],
        "precision": plan.decides["precision"],
        "seed": plan.seed,
        "views": _rows(plan),
    }


def _rows(plan: ViewPlan) -> list[dict[str, Any]]:
    cameras, rows = plan.cameras(), []
    for number, job in enumerate(plan.jobs()):
        polar, azimuth, radius = spherical_from_cartesian(camera_centre(cameras[job.view]))
        place = {"polar_rad": float(polar), "azimuth_rad": float(azimuth), "radius": float(radius)}
        # As text: table readers take whole numbers for 64 bits with a sign.
        rows.append({"view": number, "sample": job.sample, "seed": str(job.seed), **job.move.facts(), **place})
    return rows
