"""The camera moves that `--move`, `--orbit` and `--rig` ask for."""

import argparse
import math

from base.data_files import read_named
from base.errors import UsageError
from geometry.camera import Lens
from geometry.rig import RIGS, Rig, Viewpoint, rig_names
from inference.plan import Move, moves_of_rig, orbit_moves

MAX_VIEWS = 999
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


def asked_rig(options: argparse.Namespace) -> Rig | None:
    """Read the rig of the flags, if any. Raises UsageError for an unknown name and for a file with a mistake."""
    return None if options.rig is None else read_named(Rig, options.rig, RIGS, "--rig")


def moves_of(options: argparse.Namespace, rig: Rig | None, origin: Viewpoint, lens: Lens) -> list[Move]:
    """Return the moves from the input's camera at `origin`. Raises UsageError when there are none or too many."""
    moves = [_move(text) for text in options.move]
    if options.orbit < 0 or not (moves or options.orbit or rig):
        raise UsageError("expected --move UP,RIGHT, --orbit N with N ≥ 1 or --rig NAME")
    moves += orbit_moves(options.orbit) if options.orbit else []
    if rig is not None:
        try:
            moves += moves_of_rig(rig, origin, lens, options.seed)
        except ValueError as error:
            raise UsageError(f"--rig {options.rig}: {error}") from None
    if len(moves) > MAX_VIEWS:
        raise UsageError(f"expected at most {MAX_VIEWS} views, got {len(moves)}")
    # A camera at or beyond the middle would see the object from inside.
    if (nearest := min(origin.radius + move.radius for move in moves)) <= 0.0:
        raise UsageError(f"expected cameras away from the object's middle, got a distance of {nearest:g}")
    return moves


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
