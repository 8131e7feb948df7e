"""`zero123 status`: the state of a dataset, and the progress of its builder."""

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

from app.commands.options import add_settings_flags, settings_of
from base.errors import UsageError
from base.storage import Storage, write_atomically
from base.text import replace_controls


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "Print the state of the dataset at storage.root: its newest version, the outcomes of its objects, the objects "
        "waiting to be packed and, during a build, its process and rate. Works from any machine with access to the "
        "dataset. With --report, write the report of a build run from its attempts in the catalogue."
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the report of a run as an HTML file")
    parser.add_argument("--run", dest="of_run", default="", metavar="RUN", help="its name (default: the newest)")
    add_settings_flags(parser, dry_run="the same: this command writes nothing")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the state."""
    from pipeline.catalog.faults import fault_sentence
    from pipeline.dataset.status import read_status
    from report.numbers import bytes_text, seconds_text

    storage = Storage(settings_of(options).storage.root)
    if options.of_run and options.report is None:
        raise UsageError("--run: expected --report FILE with it")
    if options.report is not None:
        return _report(storage, options)
    found = read_status(storage)
    version = f"version {found.version}: {found.shards} shards, {bytes_text(found.bytes)}" if found.version else "empty"
    print(f"{storage.root}: {version}")
    print(f"objects: {_counts(found.outcomes)}")
    if found.faults:
        print(f"faults of the data: {fault_sentence(found.faults)}")
    if found.waiting:
        print(f"waiting to be packed: {found.waiting} objects; `zero123 build` goes on with them")
    if found.live is None:
        print("nobody builds")
        return 0
    live = found.live
    # Wall-clock times: the builder may run on another machine.
    since = seconds_text(time.time() - live.holder.since)
    print(
        f"process {live.holder.pid} on {live.holder.host} has been building for {since}: "
        f"attempts: {_counts(live.outcomes)}; {live.objects_per_minute:.1f} objects/min lately"
    )
    if live.last is not None:
        print(replace_controls(f"last: {live.last.uid}: {live.last.outcome} {live.last.reason}".rstrip()))
    return 0


def _report(storage: Storage, options: argparse.Namespace) -> int:
    from pipeline.report.reports import report_page

    if options.report.is_dir():
        raise UsageError(f"--report: expected a file's path, got the folder {options.report}")
    page = report_page(storage, options.of_run)
    if not options.dry_run:
        write_atomically(options.report, page.encode())
        print(options.report)
    return 0


def _counts(outcomes: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items()) or "none"
