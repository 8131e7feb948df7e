"""What preparing a photo costs the views that a model makes from it."""

from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.settings import Settings
from base.errors import Failure
from base.progress import Progress
from base.seeds import stable_rng, stable_seed
from base.storage import Storage
from bench.composites import KINDS, composite
from evaluation.baselines import on_white
from evaluation.metrics import psnr
from evaluation.novel_views import list_pairs, read_objects
from evaluation.table import markdown_table
from geometry.camera import camera_centre
from geometry.framing import frame_fraction
from geometry.relative import polar_angle, pose_vector
from photo.framing import object_box
from photo.prepare import Prepared, prepare_photo
from photo.read import Photo
from photo.settings import FramingSettings, PhotoSettings
from shards.sample import Sample
from shards.version import read_version
from zero123.pipeline import Zero123Pipeline

Pixels = NDArray[np.uint8]
SEED, PHOTO_PX = 0, 256
OFF_CENTRE, SMALL = "small, off-centre cut-out", 0.5
ORIGINAL, TRUE_SIZE = "the same, the original's way", "the same, made as large as it is"


def measure_views(
    checkpoint: str, data: str, most: int, settings: Settings, progress: Progress
) -> list[dict[str, Any]]:
    """A row for each pair of views: PSNR from the clean render and from each kind of photo; None where refused."""
    pipeline, storage = Zero123Pipeline.from_pretrained(checkpoint), Storage(data)
    version = read_version(storage)
    evaluate = settings.evaluate.model_copy(
        update={"split": "train", "inputs_per_object": 2, "held_out_views": 2, "max_objects": max(1, -(-most // 4))}
    )
    asked = [
        (sample, source, targets)
        for sample in read_objects(version, storage, evaluate)
        for source, targets in list_pairs(sample.uid, version.views, sample.good_views, evaluate)
    ]
    rows: list[dict[str, Any]] = []
    with progress.task("views", total=len(asked), unit="inputs") as task:
        for sample, source, targets in asked:
            rows += _rows(pipeline, sample, source, targets, settings)
            task.advance(1, note=sample.uid)
    return list(islice(rows, most))


def _rows(
    pipeline: Zero123Pipeline, sample: Sample, source: int, targets: tuple[int, ...], settings: Settings
) -> list[dict[str, Any]]:
    """Every preparation of an input view is asked for the same views with the same seeds."""
    camera = sample.extrinsics[source]
    # The true distance, so that the cut-out is judged and not a guess of the framing.
    framing = settings.photo.framing.model_copy(update={"radius": float(np.linalg.norm(camera_centre(camera)))})
    photo_settings = settings.photo.model_copy(update={"framing": framing})
    # The clean render is the ceiling: what is lost beside it is lost by the preparation.
    inputs = {"clean render": sample.image(source), **_inputs(sample.image(source), sample.uid, source, photo_settings)}
    cameras = np.broadcast_to(camera, (len(targets), 3, 4))
    poses = pipeline.adapt_poses(pose_vector(cameras, sample.extrinsics[list(targets)]), float(polar_angle(camera)))
    seeds = [stable_seed(SEED, sample.uid, source, target) for target in targets]
    found = {name: pipeline.views(rgba, poses, seeds=seeds) for name, rgba in inputs.items() if rgba is not None}
    rows = []
    for number, target in enumerate(targets):
        true = on_white(sample.image(target))
        scores = {name: psnr(found[name][number], true) if name in found else None for name in inputs}
        rows.append({"uid": sample.uid, "source": source, "target": target, "psnr_db": scores})
    return rows


def _inputs(render: Pixels, uid: str, source: int, settings: PhotoSettings) -> dict[str, Pixels | None]:
    """Input views made from photos of a render's object, in the render's own size."""
    hw = (render.shape[0], render.shape[1])
    rng = stable_rng(SEED, "cutout-place", uid, source)
    whole = _enlarge(render, 1.0, (0.0, 0.0))
    small = _enlarge(render, SMALL, tuple(rng.uniform(-0.2, 0.2, 2)))
    legacy, told = (
        settings.model_copy(update={"framing": settings.framing.model_copy(update=changes)})
        for changes in ({"prepare": "legacy"}, {"extent": _extent(render, settings.framing)})
    )
    made: dict[str, Prepared | None] = {
        OFF_CENTRE: _prepare(small, settings),
        ORIGINAL: _prepare(small, legacy),
        # What remains is the price of the unknown middle.
        TRUE_SIZE: _prepare(small, told),
    }
    for kind in KINDS:
        photo = composite(whole, kind, stable_rng(SEED, "cutout-photo", uid, source, kind))
        made[kind] = _prepare(np.dstack([photo, np.full(photo.shape[:2], 255, np.uint8)]), settings)
    return {name: None if one is None else one.view(hw) for name, one in made.items()}


def _extent(render: Pixels, framing: FramingSettings) -> float:
    """The longer side of a render's object in longest edges of the object."""
    left, top, right, bottom = object_box(render)
    part = max(right - left, bottom - top) / max(render.shape[:2])
    return part / frame_fraction(framing.lens(), framing.radius)


def _enlarge(render: Pixels, scale: float, shift: tuple[float, ...]) -> Pixels:
    """The render as a cut-out of PHOTO_PX, its object `scale` as large and moved by parts of the picture."""
    side = round(PHOTO_PX * scale)
    picture = Image.fromarray(render).convert("RGBa").resize((side, side), Image.Resampling.BICUBIC).convert("RGBA")
    place = [round((PHOTO_PX - side) / 2 + part * PHOTO_PX) for part in shift]
    canvas = Image.new("RGBA", (PHOTO_PX, PHOTO_PX))
    canvas.paste(picture, (place[0], place[1]))
    return np.asarray(canvas)


def _prepare(rgba: Pixels, settings: PhotoSettings) -> Prepared | None:
    try:
        return prepare_photo(Photo("composite", rgba, ""), settings)
    except Failure:  # it says that it is unsure: there is no view to compare
        return None


def view_table(rows: list[dict[str, Any]]) -> str:
    """For each kind of photo the mean PSNR, and what it costs against the clean render of the same pairs."""
    lines = []
    for name in rows[0]["psnr_db"]:
        both = [(row["psnr_db"][name], row["psnr_db"]["clean render"]) for row in rows]
        sure = np.array([(mine, clean) for mine, clean in both if mine is not None])
        refused = f"{len(rows) - len(sure)} of {len(rows)}"
        if len(sure) == 0:
            lines.append([name, "–", "–", refused])
            continue
        lines.append([name, f"{sure[:, 0].mean():.2f}", f"{(sure[:, 0] - sure[:, 1]).mean():+.2f}", refused])
    return f"{markdown_table(['input', 'PSNR, dB', 'against clean, dB', 'refused'], lines)}\n"
