"""`zero123 inspect`: see the contents of a dataset, a shard or a folder of rendered views."""

import argparse
from pathlib import Path

from app.commands.options import add_settings_flags, settings_of, writable_folder
from base.errors import UsageError
from base.progress import standard_progress


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "Make a contact sheet (PNG) and a page (HTML) of TARGET: views, cameras, checks, licences, lights, and the "
        "known seconds of each phase. TARGET is a dataset's folder, a shard, a folder of rendered views in any layout "
        "of `zero123 render` (or a folder of such folders), a model's file (rendered small), or the uid of an object "
        "of the dataset at storage.root, or the start of a uid."
    )
    parser.add_argument("target", nargs="?", metavar="TARGET", help="default: the dataset at storage.root")
    parser.add_argument("--out", type=Path, default=Path("runs/inspect"), metavar="DIR", help="default: %(default)s")
    parser.add_argument(
        "--most", type=int, default=24, metavar="N", help="show at most N objects (default: %(default)s)"
    )
    add_settings_flags(parser, dry_run="list the objects, and write nothing")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the sheet and the page."""
    if options.most < 1:
        raise UsageError(f"--most: expected at least 1, got {options.most}")
    from app.inspecting import inspect_target, write_inspection

    settings = settings_of(options)
    found = inspect_target(options.target or settings.storage.root, options.most, settings, standard_progress())
    if options.dry_run:
        print("\n".join(f"{shown.uid}: {len(shown.views)} views" for shown in found.objects))
        return 0
    out = writable_folder(options.out)
    write_inspection(found, out)
    print(f"{len(found.objects)} of {found.total} objects: {out / 'inspect.html'}, {out / 'inspect.png'}")
    return 0
