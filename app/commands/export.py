"""`zero123 export`: a version of a dataset for other tools."""

import argparse
from pathlib import Path

from app.commands.options import add_settings_flags, settings_of
from base.errors import UsageError
from base.progress import standard_progress
from base.storage import Storage


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    from pipeline.dataset.export import LAYOUTS
    from shards.version import SPLITS

    layouts = "; ".join(f"{name}: {meaning}" for name, meaning in LAYOUTS.items())
    parser.description = (
        "Write a version of the dataset at storage.root to a folder in another layout, with ATTRIBUTION.csv. Pixels "
        f"and cameras stay the same. Run it again to go on after a stop. Layouts: {layouts}."
    )
    parser.add_argument("--layout", choices=LAYOUTS, required=True)
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="a new or empty folder, or the folder of this export"
    )
    parser.add_argument(
        "--version", type=int, dest="number", metavar="VERSION", help="a version's number (default: the newest)"
    )
    parser.add_argument("--split", choices=SPLITS, help="only the objects of this split")
    parser.add_argument(
        "--uids", type=Path, metavar="FILE", help="only the objects of this text file, a uid on each line"
    )
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="only the first N of them (default: all)")
    add_settings_flags(parser, dry_run="print the number of objects, and write nothing")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Export, or print the number of objects."""
    from pipeline.dataset.export import Choice, choose, export
    from shards.version import read_version

    if "://" in options.out:
        raise UsageError(f"--out: expected a local folder, got {options.out}")
    if options.limit < 0:
        raise UsageError(f"--limit: expected 0 or more objects, got {options.limit}")
    storage = Storage(settings_of(options).storage.root)
    version = read_version(storage, options.number)
    choice = Choice(_uids(options.uids), options.split, options.limit)
    objects = sum(len(shard.samples) for shard in choose(version, choice).shards)
    summary = f"{objects} objects of version {version.number}, {version.views} views of each, as {options.layout}"
    if options.dry_run:
        print(summary)
        return 0
    export(storage, version, choice, options.layout, Path(options.out).expanduser(), standard_progress())
    print(f"{options.out}: {summary}")
    return 0


def _uids(file: Path | None) -> frozenset[str] | None:
    if file is None:
        return None
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--uids: expected a text file with a uid on each line, got: {error}") from None
    return frozenset(line.strip() for line in lines if line.strip())
