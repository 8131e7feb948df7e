"""The camera moves that `--move`, `--orbit` and `--rig` ask for."""

import argparse
import math
from pathlib import Path

from base.data_files import read_named
from base.errors import UsageError
from geometry.rig import RIGS, Rig, rig_names
from inference.cameras import AskedCameras
from inference.plan import Move

AUTO = "auto"


def add_move_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--move`, `--orbit` and `--rig`."""
    group = parser.add_argument_group("cameras", "views are numbered in this order: moves, orbit, rig")
    group.add_argument(
        "--move",
        action="append",
        default=[],
        metavar="UP,RIGHT[,AWAY]",
        help="move the camera by degrees up and right, and away by parts of the object's size; may be repeated "
        "(down: --move=-20,45)",
    )
    group.add_argument("--orbit", type=int, default=0, metavar="N", help="N views once around, at the input's height")
    group.add_argument(
        "--rig",
        metavar="NAME|FILE",
        help=f"a list of cameras: {', '.join(rig_names())}, or a YAML file of yours (docs/sampling.md)",
    )


def add_elevation_flag(parser: argparse.ArgumentParser) -> None:
    """Add `--elevation-deg`."""
    parser.add_argument(
        "--elevation-deg",
        type=elevation_or_auto,
        metavar="DEG|auto",
        help="how far above the object's middle the picture's camera was, or auto to have the model find it: for "
        "models that need it, as Stable Zero123, and for rigs with absolute heights",
    )


def asked_cameras(options: argparse.Namespace) -> AskedCameras:
    """Return what the flags ask for. Raises UsageError for a mistake in a move or in the rig's name or file."""
    moves = tuple(_move(text) for text in options.move)
    rig = None if options.rig is None else read_named(Rig, options.rig, RIGS, "--rig")
    return AskedCameras(
        moves=moves, orbit=options.orbit, rig=rig, seed=options.seed, rig_name=Path(options.rig or "").name
    )


def _move(text: str) -> Move:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3) or not all(math.isfinite(number) for number in numbers):
        raise UsageError(f"--move: expected UP,RIGHT or UP,RIGHT,AWAY, for example 20,-45, got {text!r}")
    # AWAY may be left out.
    up, right, away = (*numbers, 0.0)[:3]
    return Move(polar_rad=-math.radians(up), azimuth_rad=math.radians(right), radius=away)


def elevation_or_auto(text: str) -> float | str:
    """Parse `--elevation-deg`: degrees from -90 to 90, or AUTO. Raises ArgumentTypeError for anything else."""
    if text == AUTO:
        return AUTO
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not -90.0 <= value <= 90.0:
        raise argparse.ArgumentTypeError(f"expected degrees from -90 to 90 or auto, got {text!r}")
    return value
