"""`zero123 inspect`: see what a dataset, a shard or a folder of rendered views holds."""

import argparse
from pathlib import Path

from app.commands.options import add_settings_flags, settings_of, writable_folder
from base.errors import UsageError
from base.progress import standard_progress


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "A contact sheet (PNG) and a page (HTML) of what TARGET holds: views, cameras, checks, licences, lights, and "
        "the seconds of each phase where they are known. TARGET is a dataset's folder, one shard of it, a folder of "
        "rendered views in any layout of `zero123 render` (or a folder of such folders), a model's file, which is "
        "rendered small and shown, or the uid of an object of the dataset at storage.root, or how it starts."
    )
    parser.add_argument("target", nargs="?", metavar="TARGET", help="default: the dataset at storage.root")
    parser.add_argument("--out", type=Path, default=Path("runs/inspect"), metavar="DIR", help="default: %(default)s")
    parser.add_argument(
        "--most", type=int, default=24, metavar="N", help="show at most N objects (default: %(default)s)"
    )
    add_settings_flags(parser, dry_run="say what would be shown, and write nothing")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the sheet and the page."""
    if options.most < 1:
        raise UsageError(f"--most: expected at least 1, got {options.most}")
    from app.inspecting import inspected, write_inspection

    settings = settings_of(options)
    found = inspected(options.target or settings.storage.root, options.most, settings, standard_progress())
    if options.dry_run:
        print("\n".join(f"{shown.uid}: {len(shown.views)} views" for shown in found.objects))
        return 0
    out = writable_folder(options.out)
    write_inspection(found, out)
    print(f"{len(found.objects)} of {found.total} objects: {out / 'inspect.html'}, {out / 'inspect.png'}")
    return 0
