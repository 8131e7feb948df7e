"""`zero123 sample`: a picture and camera moves in, the object seen from there out."""

import argparse
import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app.commands.moves import add_move_flags, asked_rig, moves_of
from app.commands.options import add_model_flag, add_settings_flags, settings_of, writable_folder
from app.settings import Settings
from base.errors import UsageError
from base.progress import standard_progress
from base.storage import write_atomically
from geometry.camera import PAPER_LENS
from geometry.rig import Rig, Viewpoint
from inference.plan import Move, ViewPlan, picture_digest, within_reach

if TYPE_CHECKING:
    from zero123.pipeline import Zero123Pipeline

FILMS = ("mp4", "webm", "webp")
AT_ONCE = 8
"""Views sampled together; each has its own seed, so that only the speed depends on it."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = "New views of the object in a picture. Cut it out first: a transparent background is best."
    parser.add_argument("image", type=Path, metavar="IMAGE", help="a PNG, JPEG or WebP picture of one object")
    add_model_flag(parser)
    parser.add_argument("--out", type=Path, default=Path("runs/views"), metavar="DIR", help="default: %(default)s")
    add_move_flags(parser)
    parser.add_argument(
        "--elevation-deg",
        type=_elevation,
        metavar="DEG",
        help="how far above the object's middle the camera of IMAGE was: for models that need it, as Stable Zero123, "
        "and for rigs with absolute heights",
    )
    parser.add_argument("--samples", type=int, default=1, metavar="N", help="guesses for each view, N in a row")
    parser.add_argument("--alpha", action="store_true", help="take the white background away: RGBA pictures")
    parser.add_argument("--picture", choices=("png", "webp"), default="png", help="of the views (default: %(default)s)")
    parser.add_argument(
        "--film",
        choices=FILMS,
        action="append",
        default=[],
        help="also the views in order as orbit.mp4, .webm or .webp (animated); may be repeated",
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed gives another guess (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: %(default)s)")
    add_settings_flags(parser, dry_run="print the resolved settings and the moves, and do nothing")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Sample the views that are missing, then write cameras, contact sheet and films."""
    settings = settings_of(options)
    rig = asked_rig(options)
    if not 1 <= options.samples <= 64:
        raise UsageError(f"--samples: expected 1 to 64, got {options.samples}")
    moves = _moves(options, rig)
    if options.dry_run:
        print(settings.as_yaml())
        print("\n".join(f"move: {move.label}" for move in moves))
        return 0
    from inference.matting import matte_on_white
    from inference.sample_views import sample_into
    from inference.view_outputs import write_cameras, write_film, write_sheet
    from zero123.photo import load_photo

    progress = standard_progress()
    model, pipeline = _model(options)
    rgba = load_photo(options.image, pipeline.hw)
    out = writable_folder(options.out)
    facts = {
        "photo": {"file": options.image.name, "prepared_sha256": picture_digest(rgba)},
        "model": model,
        "sampling": settings.sample.model_dump(mode="json"),
    }
    plan = ViewPlan(
        moves=tuple(moves),
        samples=options.samples,
        seed=options.seed,
        origin=_origin(options),
        lens=PAPER_LENS,
        hw=pipeline.hw,
        picture=options.picture,
        alpha=options.alpha,
        decides={**facts, "alpha": settings.views.alpha.model_dump(mode="json") if options.alpha else {}},
    )
    draw = partial(_draw, pipeline, rgba, settings, plan.origin.polar_rad)
    matte = partial(matte_on_white, settings=settings.views.alpha)
    views = sample_into(out, plan, {**facts, "elevation": _elevation_facts(options)}, draw, matte, progress)
    write_cameras(views)
    write_sheet(views, rgba)
    for kind in dict.fromkeys(options.film):
        write_film(views, kind, settings.views.film_fps)
    write_atomically(out / "settings.yaml", settings.as_yaml().encode())
    print(f"{len(plan.jobs())} views: {out}")
    return 0


def _moves(options: argparse.Namespace, rig: Rig | None) -> list[Move]:
    origin = _origin(options)
    return within_reach(moves_of(options, rig, origin, PAPER_LENS), origin)


def _origin(options: argparse.Namespace) -> Viewpoint:
    elevation = options.elevation_deg
    return Viewpoint(polar_rad=None if elevation is None else math.radians(90.0 - elevation))


def _elevation_facts(options: argparse.Namespace) -> dict[str, Any]:
    if options.elevation_deg is None:
        return {"deg": 0.0, "source": "assumed, for the cameras' matrices alone"}
    return {"deg": options.elevation_deg, "source": "given"}


def _model(options: argparse.Namespace) -> tuple[dict[str, str], "Zero123Pipeline"]:
    from app.models import checkpoint_of, load_model, model_digest

    pipeline = load_model(options.model, options.device)
    return {"from": str(options.model), "digest": model_digest(checkpoint_of(options.model))}, pipeline


def _draw(
    pipeline: "Zero123Pipeline",
    rgba: NDArray[np.uint8],
    settings: Settings,
    polar_rad: float | None,
    poses: NDArray[np.float64],
    seeds: Sequence[int],
) -> Iterator[NDArray[np.uint8]]:
    told = pipeline.told(poses, polar_rad)
    for start in range(0, len(seeds), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        sampling = settings.sample
        yield pipeline(
            rgba,
            told[some],
            guidance_scale=sampling.guidance_scale,
            steps=sampling.steps,
            eta=sampling.eta,
            seeds=seeds[some],
        )


def _elevation(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not -90.0 <= value <= 90.0:
        raise argparse.ArgumentTypeError(f"expected degrees from -90 to 90, got {text!r}")
    return value
