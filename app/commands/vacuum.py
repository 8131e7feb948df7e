"""`zero123 vacuum`: remove files that no kept version of a dataset needs."""

import argparse
import re

from app.commands.options import add_settings_flags, settings_of
from base.storage import Storage

UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "Remove versions of the dataset at storage.root older than AGE, except the newest, with the shards and tables "
        "needed by them alone, and leftovers of crashed writers. Training cannot go on with a removed version: choose "
        "AGE longer than any run."
    )
    parser.add_argument(
        "--older-than", type=age_s, required=True, metavar="AGE", help="for example 12h, 30d or 8w (s, m, h, d, w)"
    )
    add_settings_flags(parser, dry_run="list the files, and remove nothing")
    parser.set_defaults(run=run)


def age_s(text: str) -> float:
    """Parse a length of time in seconds. Raises ArgumentTypeError unless it is a number and a unit."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhdw])", text)
    if match is None:
        raise argparse.ArgumentTypeError(
            f"expected a number and a unit of {', '.join(UNITS_S)}, as in 30d, got {text!r}"
        )
    return float(match[1]) * UNITS_S[match[2]]


def run(options: argparse.Namespace) -> int:
    """Remove files, or list them."""
    from pipeline.dataset.vacuum import vacuum
    from report.numbers import bytes_text

    settings = settings_of(options)
    storage = Storage(settings.storage.root)
    # Under the builder's lease: files of a running build belong to no version yet.
    found = vacuum(storage, options.older_than, settings.run.lease_s, dry_run=options.dry_run)
    if options.dry_run:
        print("\n".join(found.files), end="\n" if found.files else "")
    verb = "would be removed" if options.dry_run else "removed"
    print(f"{len(found.versions)} versions, {len(found.files)} files, {bytes_text(found.bytes)} {verb}")
    return 0
