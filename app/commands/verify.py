"""`zero123 verify`: check every file of a dataset against its version."""

import argparse

from app.commands.options import add_settings_flags, settings_of
from base.progress import standard_progress
from base.storage import Storage


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "Read every shard of a version of the dataset at storage.root in full, and every shard of its cached latents: "
        "length and digest, every sample's members, and the version's file against the catalogue. Exit code 1 with a "
        "list of all damage. After the removal of a damaged shard the next `zero123 build` makes it again; damaged "
        "latents are replaced by `zero123 cache`."
    )
    parser.add_argument(
        "--version", type=int, dest="number", metavar="VERSION", help="a version's number (default: the newest)"
    )
    add_settings_flags(parser, dry_run="print the size, and read nothing")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Verify a version."""
    from pipeline.dataset.history import check_against_catalogue
    from report.numbers import bytes_text
    from shards.latents import read_latent_indexes
    from shards.verify import verify
    from shards.version import read_version

    storage = Storage(settings_of(options).storage.root)
    version = read_version(storage, options.number)
    size = bytes_text(sum(shard.bytes for shard in version.shards))
    objects = sum(len(shard.samples) for shard in version.shards)
    summary = f"version {version.number}: {objects} objects in {len(version.shards)} shards, {size}"
    if cached := [shard.bytes for latents in read_latent_indexes(storage, version) for shard in latents.shards]:
        summary += f"; {len(cached)} latent shards, {bytes_text(sum(cached))}"
    if options.dry_run:
        print(summary)
        return 0
    # The cheap check first: it reads no shard.
    check_against_catalogue(storage, version)
    verify(storage, version, standard_progress())
    print(f"{summary}: all as it should be")
    return 0
