"""`zero123 diff`: what changed between two versions of a dataset."""

import argparse

from app.commands.options import add_settings_flags, settings_of
from base.storage import Storage


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "List the objects and shards of the dataset at storage.root with changes between versions OLD and NEW. "
        "Exit code 0 with and without changes."
    )
    parser.add_argument("old", type=int, metavar="OLD", help="a version's number; `zero123 versions` lists them")
    parser.add_argument("new", type=int, metavar="NEW", help="another")
    add_settings_flags(parser, dry_run="the same: this command writes nothing")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print a line for each object and shard, and a summary."""
    from pipeline.dataset.history import compare_versions
    from report.numbers import bytes_text

    found = compare_versions(Storage(settings_of(options).storage.root), options.old, options.new)
    objects = {
        "added": found.added,
        "removed": found.removed,
        "rendered anew": found.rendered,
        "described anew": found.described,
    }
    for what, uids in objects.items():
        for uid in uids:
            print(f"{what}: {uid}")
    for what, names in {"added": found.shards_added, "removed": found.shards_removed}.items():
        for name in names:
            print(f"{what}: {name}")
    summary = ", ".join(f"{len(uids)} {what}" for what, uids in objects.items())
    print(
        f"version {found.old} to {found.new}: objects: {summary}; shards: {len(found.shards_added)} added "
        f"({bytes_text(found.bytes_added)}), {len(found.shards_removed)} removed"
    )
    return 0
