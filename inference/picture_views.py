"""A picture's views as the files of a sample: lossless views, cameras, the prepared input, and the record of all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from base.digest import canonical_json
from base.errors import Failure, UsageError
from base.outcomes import Outcome
from base.storage import write_atomically
from geometry.camera import camera_centre
from geometry.sphere import spherical_from_cartesian
from inference.find_elevation import find_elevation
from inference.picture_request import PictureJob, PictureSections, ViewsRequest
from inference.plan import ViewPlan, picture_digest, poses_of
from inference.sample_photo import LoadedModel, Wanted, artists, input_camera, view_plan
from photo.prepare import Prepared, prepare
from shards.arrays import npy_bytes
from shards.image import encode_rgba
from shards.sample import INPUT, view_suffix
from zero123.picture import rgba_of

SCHEMA = 1
MOST_ON_CPU = 8


class UnusablePicture(Exception):
    """A file without a picture, or a picture without a clear object, as `outcome` tells."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome


def write_picture_views(
    job: PictureJob,
    model: LoadedModel,
    sections: PictureSections,
    request: ViewsRequest,
    enter: Callable[[str], None],
) -> tuple[int, str]:
    """Prepare a picture, sample its views, write all files into `job.out`; their number, and warnings about the photo.

    Raises UnusablePicture. UsageError and Failure are about the settings.
    """
    enter("prepare")
    photo = _prepared(job, sections, request)
    rgba = photo.view(model.pipeline.hw)
    elevation, source = _elevation(job, rgba, model, sections, request, enter)
    origin = input_camera(sections, elevation)
    wanted = Wanted(
        moves=request.cameras.moves_from(origin, sections.photo.framing.lens()),
        samples=request.samples,
        seed=request.cameras.seed,
        picture="webp",
        alpha=request.alpha,
        films=(),
    )
    plan = view_plan(model, rgba, sections, wanted, origin)
    draw, matte = artists(model, rgba, sections, origin)
    jobs, out = plan.jobs(), Path(job.out)
    enter("sample")
    number = 0
    for batch in draw(poses_of([one.move for one in jobs]), [one.seed for one in jobs]):
        enter("encode")
        for pixels in batch:
            view = matte(pixels) if request.alpha else rgba_of(pixels, plan.hw)
            write_atomically(out / view_suffix(number), encode_rgba(view))
            number += 1
        # Each batch has the whole deadline.
        enter("sample")
    enter("encode")
    write_atomically(out / INPUT, encode_rgba(rgba))
    cameras = plan.cameras()[[one.view for one in jobs]]
    write_atomically(out / "extrinsics.npy", npy_bytes(cameras))
    facts = {"elevation": {"deg": float(elevation or 0.0), "source": source}, "photo": _photo_facts(photo, rgba)}
    record = _record(job.uid, plan, model, facts)
    # Last: it describes all other files.
    write_atomically(out / "views.json", canonical_json(record).encode())
    return number, "; ".join(photo.warnings)


def _prepared(job: PictureJob, sections: PictureSections, request: ViewsRequest) -> Prepared:
    mask = Path(job.mask) if job.mask else None
    try:
        return prepare(job.file, sections.photo, mask=mask, assume_cut_out=request.assume_cut_out)
    except UsageError as error:
        raise UnusablePicture(Outcome.CORRUPT, str(error)) from None
    except Failure as error:
        raise UnusablePicture(Outcome.EMPTY, str(error)) from None


def _elevation(
    job: PictureJob,
    rgba: Any,
    model: LoadedModel,
    sections: PictureSections,
    request: ViewsRequest,
    enter: Callable[[str], None],
) -> tuple[float | None, str]:
    """Return the elevation of the picture's camera in degrees, None if unknown, and its source."""
    given = request.elevation_deg if job.elevation_deg is None else job.elevation_deg
    if given == "auto":
        enter("elevation")
        found = find_elevation(model.pipeline, rgba, sections, request.cameras.seed)
        return round(found.deg, 2), f"estimated by {found.method}, ± {found.spread_deg:.0f}°"
    return (None, "assumed, for the cameras' matrices alone") if given is None else (float(given), "given")


def _photo_facts(photo: Prepared, rgba: Any) -> dict[str, Any]:
    # The name of the file is the object's title, and lists may not be empty in a sample's facts.
    facts = {name: value for name, value in photo.facts().items() if name not in ("photo", "warnings")}
    return {**facts, "warnings": "; ".join(photo.warnings), "prepared_sha256": picture_digest(rgba)}


def _record(uid: str, plan: ViewPlan, model: LoadedModel, facts: dict[str, Any]) -> dict[str, Any]:
    polar, azimuth, radius = (float(value) for value in plan.input_place)
    return {
        "schema": SCHEMA,
        "uid": uid,
        "hw": list(plan.hw),
        "lens": {"focal_mm": plan.lens.focal_mm, "sensor_mm": plan.lens.sensor_mm},
        "passes": "",
        "input": INPUT,
        "input_camera": {"polar_rad": polar, "azimuth_rad": azimuth, "radius": radius},
        "model": {"from": model.source, "digest": model.digest},
        "sampling": plan.decides["sampling"],
        "precision": plan.decides["precision"],
        "seed": plan.seed,
        **facts,
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
