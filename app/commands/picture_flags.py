"""The flags of commands over many pictures: where they run, and a dataset's views as pictures."""

import argparse
from typing import TYPE_CHECKING

from base.errors import UsageError
from photo.batch import BatchPicture, pictures_of_batch

if TYPE_CHECKING:
    from inference.dataset_views import DatasetViews

ALL = "all"


def add_picture_flags(parser: argparse.ArgumentParser, *, here: str, made: str) -> None:
    """Add the flags. `here` says what is made without Ray, `made` what a dataset holds."""
    group = parser.add_argument_group("many pictures, with --on ray")
    group.add_argument(
        "--on",
        choices=("here", "ray"),
        default="here",
        help=f"here: {here}; ray: on run.address or a local Ray, by the workers that build datasets: --out, a folder "
        f"or s3://…, becomes a dataset of {made} (default: %(default)s)",
    )
    group.add_argument(
        "--dataset",
        metavar="ROOT[@VERSION]",
        help="instead of IMAGE: a view of each object of a dataset's version, with its true elevation; ROOT is a "
        "folder or s3://…",
    )
    group.add_argument(
        "--view",
        type=int,
        metavar="N",
        help="which view of each object of --dataset, or the next good one (default: 0)",
    )
    group.add_argument(
        "--retry",
        type=failed_outcomes,
        default=frozenset(),
        metavar="OUTCOME[,OUTCOME]|all",
        help="try pictures with these outcomes again under the same settings, for example crash,timeout",
    )


def failed_outcomes(text: str) -> frozenset[str]:
    """Read outcomes to be retried. Raises ArgumentTypeError for others."""
    from pipeline.plan.plan import FAILED

    known = {str(outcome) for outcome in FAILED}
    asked = known if text == ALL else {name.strip() for name in text.split(",")}
    if not asked <= known:
        raise argparse.ArgumentTypeError(f"expected {ALL} or any of {', '.join(sorted(known))}, got {text!r}")
    return frozenset(asked)


def asked_batch(options: argparse.Namespace) -> list[BatchPicture] | None:
    """Return the pictures that IMAGE lists; None for a single picture. Raises UsageError for a list with `--mask`."""
    batch = pictures_of_batch(options.image)
    if batch is not None and options.mask is not None:
        raise UsageError("--mask: expected a single picture; a CSV has a column `mask` for each, got many pictures")
    return batch


def asked_dataset(options: argparse.Namespace) -> "DatasetViews | None":
    """Return what `--dataset` asks for; None where IMAGE is given instead. Raises UsageError where flags disagree."""
    if options.on != "ray":
        for flag in ("dataset", "view", "retry"):
            if getattr(options, flag) not in (None, frozenset()):
                raise UsageError(f"--{flag}: expected --on ray, got --on {options.on}")
    if options.dataset is None:
        if options.view is not None:
            raise UsageError("--view: expected --dataset, got pictures")
        if not options.image:
            raise UsageError("expected IMAGE, or --dataset ROOT with --on ray, got neither")
        return None
    if options.mask is not None:
        raise UsageError("--mask: expected a single picture, got --dataset")
    if options.image:
        raise UsageError(f"expected IMAGE or --dataset, got both: {options.image[0]} and {options.dataset}")
    from inference.dataset_views import DatasetViews

    return DatasetViews.find(options.dataset, options.view or 0)
