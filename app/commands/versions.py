"""`zero123 versions`: the contents of each version of a dataset."""

import argparse
import time

from app.commands.options import add_settings_flags, settings_of
from base.storage import Storage


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = "List the versions of the dataset at storage.root, oldest first."
    add_settings_flags(parser, dry_run="the same: this command writes nothing")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print a line for each version."""
    from pipeline.dataset.history import list_versions
    from report.numbers import bytes_text

    for one in list_versions(Storage(settings_of(options).storage.root)):
        objects = ", ".join(f"{count} {split}" for split, count in one.objects.items())
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.at)) if one.at else "unknown time"
        print(
            f"{one.number:>5}  {when}  {objects}; {one.shards} shards, {bytes_text(one.bytes)}; "
            f"{one.views} views of {one.hw[0]} × {one.hw[1]}; settings {one.settings_digest}"
        )
    return 0
