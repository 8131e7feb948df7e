"""`zero123 sample`: a picture and camera moves in, the object seen from there out."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.commands.moves import AUTO, add_elevation_flag, add_move_flags, asked_rig, moves_of
from app.commands.options import add_model_flag, add_settings_flags, settings_of, writable_folder
from app.commands.photo_flags import add_photo_flags, photo_settings, prepared_photo
from app.sampling import LoadedModel, Wanted, input_camera, sample_photo
from app.settings import Settings
from base.errors import UsageError
from base.progress import standard_progress
from geometry.rig import Rig
from inference.plan import Move, within_reach

if TYPE_CHECKING:
    from photo.prepare import Prepared
    from zero123.pipeline import Zero123Pipeline

FILMS = ("mp4", "webm", "webp")
MAX_SAMPLES = 64
LEVEL = 0.0
"""The elevation that moves are checked with before the model has found it."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = "New views of the object in a picture, which is cut out and framed as in the training views."
    parser.add_argument("image", metavar="IMAGE", help="a picture of an object, or - for standard input")
    add_model_flag(parser)
    add_photo_flags(parser)
    parser.add_argument("--out", type=Path, default=Path("runs/views"), metavar="DIR", help="default: %(default)s")
    add_move_flags(parser)
    add_elevation_flag(parser)
    _add_output_flags(parser)
    parser.add_argument("--seed", type=int, default=0, help="another seed gives another guess (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: %(default)s)")
    parser.add_argument(
        "--sampler",
        choices=("ddim", "unipc", "dpmsolver++"),
        help="how noise becomes a view; the last two need fewer steps, see --preset fast (default: the model's own)",
    )
    add_settings_flags(parser, dry_run="print the resolved settings and the moves, and do nothing")
    parser.set_defaults(run=run)


def _add_output_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "--samples", type=int, default=1, metavar="N", help="guesses for each view, a row of sheet.png (default: 1)"
    )
    group.add_argument("--alpha", action="store_true", help="take the white background away: RGBA pictures")
    group.add_argument("--picture", choices=("png", "webp"), default="png", help="of the views (default: %(default)s)")
    group.add_argument(
        "--film",
        choices=FILMS,
        action="append",
        default=[],
        help="also the views in order as orbit.mp4, .webm or .webp (animated); may be repeated",
    )


def run(options: argparse.Namespace) -> int:
    """Sample the views that are missing, then write cameras, contact sheet and films."""
    settings = settings_of(options)
    photo = photo_settings(options, settings.photo)
    settings = settings.model_copy(update={"photo": photo})
    rig = asked_rig(options)
    if not 1 <= options.samples <= MAX_SAMPLES:
        raise UsageError(f"--samples: expected 1 to {MAX_SAMPLES}, got {options.samples}")
    auto = options.elevation_deg == AUTO
    moves = _moves(options, settings, rig, LEVEL if auto else options.elevation_deg)
    if options.dry_run:
        print(settings.as_yaml())
        print("\n".join(f"move: {move.label}" for move in moves))
        return 0
    from app.models import checkpoint_of, load_model, model_digest
    from photo.prepare import say_warnings

    progress = standard_progress()
    prepared = prepared_photo(options, photo, options.image)
    say_warnings(prepared, progress)
    pipeline = load_model(options.model, options.device, settings.sample.compute)
    checkpoint = checkpoint_of(options.model)
    source = options.model.name or str(checkpoint)
    model = LoadedModel(pipeline=pipeline, digest=model_digest(checkpoint), source=source)
    settings = settings_of(options, pipeline.defaults).model_copy(update={"photo": photo})
    elevation, facts = _elevation(options, pipeline, prepared, settings)
    wanted = Wanted(
        moves=tuple(_moves(options, settings, rig, elevation)),
        samples=options.samples,
        seed=options.seed,
        picture=options.picture,
        alpha=options.alpha,
        films=tuple(options.film),
    )
    out = writable_folder(options.out)
    views = sample_photo(out, prepared, model, settings, wanted, (elevation, facts), progress)
    print(f"{len(views.plan.jobs())} views: {out}")
    return 0


def _moves(options: argparse.Namespace, settings: Settings, rig: Rig | None, elevation_deg: float | None) -> list[Move]:
    origin = input_camera(settings, elevation_deg)
    return within_reach(moves_of(options, rig, origin, settings.photo.framing.lens()), origin)


def _elevation(
    options: argparse.Namespace, pipeline: "Zero123Pipeline", photo: "Prepared", settings: Settings
) -> tuple[float | None, dict[str, Any]]:
    """The elevation of the photo's camera, None if unknown, and what views.json says of it."""
    if options.elevation_deg == AUTO:
        from app.elevation import estimated_elevation

        return estimated_elevation(pipeline, photo, settings, options.seed, standard_progress())
    if options.elevation_deg is None:
        return None, {"deg": 0.0, "source": "assumed, for the cameras' matrices alone"}
    return options.elevation_deg, {"deg": options.elevation_deg, "source": "given"}
