"""`zero123 cache`: latents of the frozen encoders for a dataset."""

import argparse

from app.commands.options import add_settings_flags, settings_of
from base.errors import UsageError
from base.progress import standard_progress
from base.storage import Storage


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "Encode every view of a version of the dataset at storage.root with the frozen part of `model`, and keep the "
        "latents in shards beside the views, for train.cached_latents. Complete shards are kept; the same command goes "
        "on after a stop, and several commands may share a dataset. Up to train.stream.damaged_samples are named and "
        "skipped, as in training."
    )
    parser.add_argument(
        "--version", type=int, dest="number", metavar="VERSION", help="a version's number (default: train.version)"
    )
    parser.add_argument(
        "--processes",
        type=int,
        default=1,
        metavar="N",
        help="number of encoder processes (default: %(default)s)",
    )
    add_settings_flags(parser, dry_run="print the resolved settings, and do nothing")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Encode the missing latents."""
    settings = settings_of(options)
    if options.processes < 1:
        raise UsageError(f"--processes: expected at least 1, got {options.processes}")
    if options.dry_run:
        print(settings.as_yaml())
        return 0
    # Imports of the work come after all checks of the flags: torch loads slowly.
    from report.numbers import bytes_text
    from shards.version import read_version
    from train.cache import CacheJob, cache_latents

    storage = Storage(settings.storage.root)
    # 0 in the settings means the newest version.
    version = read_version(storage, options.number or settings.train.version or None)
    job = CacheJob(storage, version, settings.model, settings.train.seed, settings.train.device, settings.train.threads)
    summary = cache_latents(job, options.processes, standard_progress(), settings.train.stream.damaged_samples)
    print(
        f"version {version.number}, encoder {summary.encoder}: {summary.shards} latent shards, "
        f"{bytes_text(summary.bytes)}, {summary.made} made now"
        + (f"; {summary.damaged_samples} damaged samples skipped" if summary.damaged_samples else "")
    )
    return 0
