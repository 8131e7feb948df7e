"""`zero123 restore`: an earlier version of a dataset becomes the newest again."""

import argparse

from app.commands.options import add_settings_flags, settings_of
from base.storage import Storage


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "Make a new version of the dataset at storage.root with the contents of VERSION. Nothing is rendered or "
        "removed; the next `zero123 build` brings it up to date with the settings again."
    )
    parser.add_argument("version", type=int, metavar="VERSION", help="its number; `zero123 versions` lists them")
    add_settings_flags(parser, dry_run="print the changes, and change nothing")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Restore, or print the changes."""
    from pipeline.dataset.history import check_earlier, compare_versions, restore
    from shards.version import read_version

    settings = settings_of(options)
    storage = Storage(settings.storage.root)
    # Before the comparison, so that a wrong number gets this command's own sentence.
    check_earlier(storage, options.version)
    newest = read_version(storage)
    found = compare_versions(storage, newest.number, options.version)
    summary = (
        f"{len(found.added)} objects come back, {len(found.removed)} go, "
        f"{len(found.rendered) + len(found.described)} become what they were"
    )
    if options.dry_run:
        print(f"version {newest.number} to what version {options.version} holds: {summary}")
        return 0
    made = restore(storage, options.version, settings.run.lease_s)
    print(f"version {made.number} holds what version {options.version} holds: {summary}")
    return 0
