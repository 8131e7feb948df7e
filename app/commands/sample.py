"""`zero123 sample`: a picture and camera moves in, the object seen from there out."""

import argparse
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.commands.options import add_model_flag, add_settings_flags, settings_of, writable_folder
from app.commands.photo_flags import add_photo_flags, photo_settings, prepared_photo
from base.errors import UsageError
from base.progress import standard_progress
from base.seeds import stable_seed
from base.storage import write_atomically
from geometry.relative import pose_from_deltas

Moves = list[tuple[float, float, float]]


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = "New views of the object in a picture, which is cut out and framed as in the training views."
    parser.add_argument("image", metavar="IMAGE", help="a picture of one object, or - for standard input")
    add_model_flag(parser)
    add_photo_flags(parser)
    parser.add_argument("--out", type=Path, default=Path("runs/views"), metavar="DIR", help="default: %(default)s")
    parser.add_argument(
        "--move",
        action="append",
        default=[],
        metavar="UP,RIGHT[,AWAY]",
        help="move the camera by degrees up and right, and away by parts of the object's size; may be repeated "
        "(down: --move=-20,45)",
    )
    parser.add_argument("--orbit", type=int, default=0, metavar="N", help="N views once around, at the input's height")
    parser.add_argument(
        "--elevation-deg",
        type=float,
        metavar="DEG",
        help="how far above the object's middle the camera of IMAGE stood; for models that are told, as Stable Zero123",
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed gives another guess (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: %(default)s)")
    parser.add_argument(
        "--sampler",
        choices=("ddim", "unipc", "dpmsolver++"),
        help="how noise becomes a view; the last two need fewer steps, see --preset fast (default: the model's own)",
    )
    add_settings_flags(parser, dry_run="print the resolved settings and the moves, and do nothing")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Sample every move and write one PNG each, and a contact sheet of all."""
    settings = settings_of(options)
    settings = settings.model_copy(update={"photo": photo_settings(options, settings.photo)})
    moves = _moves(options)
    if options.dry_run:
        print(settings.as_yaml())
        print("\n".join(f"move: {up:g}° up, {right:g}° right, {away:g} away" for up, right, away in moves))
        return 0
    from app.models import load_model
    from photo.prepare import say_warnings
    from photo.shown import preparation_picture
    from report.contact_sheet import contact_sheet
    from report.images import encoded

    progress = standard_progress()
    prepared = prepared_photo(options, settings.photo, options.image)
    say_warnings(prepared, progress)
    pipeline = load_model(options.model, options.device, settings.sample.compute)
    settings = settings_of(options, pipeline.defaults)
    polar = None if options.elevation_deg is None else math.radians(90.0 - options.elevation_deg)
    rgba = prepared.view(pipeline.hw)
    poses = pipeline.adapt_poses(
        np.stack([pose_from_deltas(-math.radians(up), math.radians(right), away) for up, right, away in moves]), polar
    )
    out = writable_folder(options.out)
    write_atomically(out / "prepared.png", encoded(preparation_picture(prepared, pipeline.hw), "png"))
    views: list[NDArray[np.uint8]] = []
    with progress.task("sample", total=len(moves), unit="views") as task:
        for made in pipeline.batches(
            rgba,
            poses,
            seeds=[stable_seed(options.seed, "sample", index) for index in range(len(moves))],
            sampling=settings.sample.sampling(),
            views_at_once=settings.sample.compute.views_at_once,
        ):
            views.extend(made)
            task.advance(len(made))
    for number, view in enumerate(views):
        write_atomically(out / f"{number:03d}.png", encoded(Image.fromarray(view), "png"))
    labels = ["input", *(f"{up:+g}° {right:+g}°" for up, right, _ in moves)]
    sheet = contact_sheet([rgba, *views], labels=labels, columns=min(6, len(labels)))
    write_atomically(out / "sheet.png", encoded(sheet, "png"))
    write_atomically(out / "settings.yaml", settings.as_yaml().encode())
    print(f"{len(views)} views: {out}")
    return 0


def _moves(options: argparse.Namespace) -> Moves:
    moves = [_move(text) for text in options.move]
    moves += [(0.0, 360.0 * index / options.orbit, 0.0) for index in range(options.orbit)]
    if options.orbit < 0 or not moves:
        raise UsageError("expected at least one --move UP,RIGHT or --orbit N with N ≥ 1")
    return moves


def _move(text: str) -> tuple[float, float, float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3) or not all(math.isfinite(number) for number in numbers):
        raise UsageError(f"--move: expected UP,RIGHT or UP,RIGHT,AWAY, for example 20,-45, got {text!r}")
    up, right, away = (*numbers, 0.0)[:3]
    return up, right, away
