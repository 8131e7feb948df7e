"""`zero123 convert`: weights from a public layout to another."""

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from app.commands.options import add_settings_flags, settings_of
from base.errors import UsageError

if TYPE_CHECKING:
    from app.settings import Settings
    from zero123.pipeline import Zero123Pipeline

LAYOUTS = {
    "zero123": "a folder of this project, which every command takes as --model",
    "ldm": "the original's .ckpt, for Zero-1-to-3, Zero123-XL, Stable Zero123 and threestudio",
    "kxic": "a diffusers folder as kxic's repositories have it (cc_projection)",
    "ashawkey": "a diffusers folder as ashawkey's and bennyguo's have it (clip_camera_projection)",
}
SUFFIXES = (".ckpt", ".safetensors")


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    layouts = "; ".join(f"{name}: {meaning}" for name, meaning in LAYOUTS.items())
    parser.description = (
        "Read a model in any of these layouts and write it in another. The layout of SOURCE is detected; a .ckpt also "
        "needs its sizes, for example from --preset paper. Facts missing from the written layout are printed as flags "
        f"for reading it. {layouts}."
    )
    parser.add_argument("source", type=Path, metavar="SOURCE", help="a .ckpt or .safetensors file, or a folder")
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help="a folder, or a .ckpt for ldm")
    parser.add_argument("--layout", choices=LAYOUTS, default="zero123", help="default: %(default)s")
    parser.add_argument(
        "--pose-slot4",
        choices=("radius_difference", "input_polar"),
        default="radius_difference",
        help="meaning of the pose's fourth number, not recorded in foreign layouts: input_polar for Stable Zero123 "
        "(default: %(default)s)",
    )
    parser.add_argument("--raw", action="store_true", help="take the trained UNet of a .ckpt, not its average")
    add_settings_flags(parser, dry_run="read and check SOURCE, and write nothing")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Convert."""
    from zero123.layouts.folders import SPELLINGS, save_folder
    from zero123.layouts.foreign import flags_lost_in_folder, flags_lost_in_ldm
    from zero123.layouts.ldm import save_ldm
    from zero123.saving import save_whole

    if options.out.exists():
        raise UsageError(f"--out: expected a new path, got the existing {options.out}")
    # A wrong ending would give a file that no program recognises.
    if (options.layout == "ldm") != (options.out.suffix == ".ckpt"):
        raise UsageError(f"--out: expected a .ckpt for --layout ldm and a folder for the others, got {options.out}")
    model = _read(options, settings_of(options))
    parameters = sum(tensor.numel() for part in model.modules().values() for tensor in part.parameters())
    summary = f"{parameters:,} parameters, views of {model.hw[0]} × {model.hw[1]}, slot 4: {model.pose_slot4}"
    if options.dry_run:
        print(f"{options.source}: {summary}")
        return 0
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with save_whole(options.out, "model") as temporary:
        if options.layout == "ldm":
            save_ldm(model, temporary)
        elif options.layout == "zero123":
            model.save_pretrained(temporary)
        else:
            save_folder(model, temporary, SPELLINGS[options.layout])
    print(f"{options.out}: {summary}")
    # A foreign layout cannot state everything, and a model read without these flags draws wrong views in silence.
    if options.layout != "zero123":
        unsaid = flags_lost_in_ldm(model) if options.layout == "ldm" else flags_lost_in_folder(model)
        print(f"This layout does not say: {shlex.join(unsaid)}")
    return 0


def _read(options: argparse.Namespace, settings: "Settings") -> "Zero123Pipeline":
    from inference.models import load_model
    from zero123.layouts.folders import load_folder, spelling_of
    from zero123.layouts.ldm import load_ldm
    from zero123.pipeline import Zero123Pipeline

    source: Path = options.source
    if source.suffix in SUFFIXES:
        return Zero123Pipeline.of(load_ldm(source, settings.model, options.pose_slot4, ema=not options.raw))
    if source.is_dir() and spelling_of(source) is not None:
        return Zero123Pipeline.of(load_folder(source, options.pose_slot4))
    return load_model(source, "cpu")
