"""`zero123 demo`: the whole chain on small objects, with a report."""

import argparse
import json
from pathlib import Path

from app.commands.options import add_settings_flags, writable_folder
from app.settings import load_settings
from base.progress import standard_progress

PRESETS = ("mini", "demo")


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "The whole chain at a size for two processor cores: render objects with Blender, pack the views into shards, "
        "fine-tune the packaged model on them, sample held-out views, reconstruct a mesh, and write report.html. Run "
        "it again to go on after a stop. Exit code 1 when the model or the mesh misses its goal."
    )
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), metavar="DIR", help="default: %(default)s")
    parser.add_argument(
        "--object",
        default="",
        metavar="UID",
        help="start of the uid of the object to reconstruct (default: first)",
    )
    add_settings_flags(parser, dry_run="print the resolved settings, and do nothing")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run every stage not yet done, then write the report."""
    root = f"storage.root={json.dumps(str(options.out / 'dataset'))}"
    # Before the user's own presets and values, which therefore win.
    settings = load_settings(options.config, [*PRESETS, *options.preset], [root, *options.overrides])
    if options.dry_run:
        print(settings.as_yaml())
        return 0
    from app.demo import run_demo

    out = writable_folder(options.out)
    run_demo(settings, out, options.object, standard_progress())
    return 0
