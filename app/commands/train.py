"""`zero123 train`: a dataset in, a model out."""

import argparse
from pathlib import Path

from app.commands.options import add_settings_flags, settings_of, writable_folder
from base.progress import clock, standard_progress
from base.storage import Storage, write_atomically


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "Train on the newest version of the dataset at storage.root, streaming from its shards. Checkpoints are "
        "written on the way, on Ctrl-C and on SIGTERM; the same command goes on from the newest one."
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/model"),
        metavar="DIR",
        help="where checkpoints and the log go (default: %(default)s)",
    )
    add_settings_flags(parser, dry_run="print the resolved settings, and do nothing")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train to the last image."""
    settings = settings_of(options)
    if options.dry_run:
        print(settings.as_yaml())
        return 0
    from train.loop import train

    out = writable_folder(options.out)
    summary = train(settings.model, settings.train, Storage(settings.storage.root), out, standard_progress())
    write_atomically(out / "settings.yaml", settings.as_yaml().encode())
    print(f"{summary.images:,} images in {clock(summary.seconds)}: {summary.checkpoint}")
    return 0
