"""`zero123 paper-tables`: Tables 1 to 4 of the Zero-1-to-3 paper, over a user's folders."""

import argparse
from pathlib import Path

from app.answering import add_model_flags, add_network_flags
from app.baselines import BASELINES, add_baseline_flags
from evaluation.paper_tables import PAPER_TABLES


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "Measure a model, baselines and other programs' predictions as Tables 1 to 4 of Zero-1-to-3 do: novel views "
        "and meshes of Google Scanned Objects and RTMV. Printed rows come first; measured rows have intervals and "
        "paired differences. Stopped at any moment, the same command goes on. Exit code 1 when an object failed."
    )
    parser.add_argument(
        "--gso",
        type=Path,
        metavar="DIR",
        help="renders of the scans, from `zero123 render --layout nerf` (Tables 1, 3)",
    )
    parser.add_argument(
        "--gso-models",
        type=Path,
        metavar="DIR",
        help="the folder of models behind these renders, for Table 3; without it, mesh.ply beside each transforms.json",
    )
    parser.add_argument("--rtmv", type=Path, metavar="DIR", help="RTMV, a folder for each scene (Tables 2, 4)")
    parser.add_argument(
        "--predictions",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="of another program: DIR/PROTOCOL is its prediction folder for that table, any of "
        f"{', '.join(table.protocol for table in PAPER_TABLES)}; may be repeated",
    )
    parser.add_argument(
        "--baseline", action="append", default=[], choices=BASELINES, help="a row without a model; may be repeated"
    )
    add_baseline_flags(parser)
    parser.add_argument("--no-model", action="store_true", help="no row of a model, only --predictions and --baseline")
    parser.add_argument("--tables", default="1,2,3,4", metavar="N,N,…", help="default: %(default)s")
    parser.add_argument("--first", type=int, metavar="N", help="only the first N objects of each folder, by name")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/paper-tables"), metavar="DIR", help="default: %(default)s"
    )
    add_model_flags(parser, dry_run="print the resolved settings, and do nothing")
    add_network_flags(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Make the tables."""
    from app.paper_tables import make_paper_tables

    return make_paper_tables(options)
