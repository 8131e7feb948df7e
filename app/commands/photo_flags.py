"""Flags of the commands that take a person's picture, and the picture prepared as they say."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from photo.settings import PhotoSettings, Preparation

if TYPE_CHECKING:
    from photo.prepare import Prepared


def add_photo_flags(parser: argparse.ArgumentParser) -> None:
    """`--mask`, `--cut-out`, `--assume-cut-out` and `--prepare`."""
    group = parser.add_argument_group("photo")
    group.add_argument(
        "--mask", type=Path, metavar="FILE", help="a picture of the same shape that is white on the object"
    )
    group.add_argument(
        "--cut-out",
        metavar="METHOD",
        help="how the object is cut out: auto (by its transparency, else border), alpha, border (needs no weights), "
        "the name of a network such as isnet-general-use, or FILE.onnx (default: photo.cut_out)",
    )
    group.add_argument(
        "--assume-cut-out",
        action="store_true",
        help="check nothing: take the picture as it is, or what --cut-out finds",
    )
    group.add_argument(
        "--prepare",
        choices=get_args(Preparation),
        help="framed: as large as in training views; legacy: the original's way; as_is: for pictures of that size, "
        "such as renders (default: photo.framing.prepare)",
    )


def photo_settings(options: argparse.Namespace, settings: PhotoSettings) -> PhotoSettings:
    """The settings with what the flags say laid over them."""
    framing = settings.framing.model_copy(update={"prepare": options.prepare} if options.prepare else {})
    cut_out = options.cut_out or settings.cut_out
    return settings.model_copy(update={"framing": framing, "cut_out": cut_out})


def prepared_photo(
    options: argparse.Namespace, settings: PhotoSettings, source: str | Path, *, mask: Path | None = None
) -> "Prepared":
    """Prepare the picture `source` by the flags and `settings`, see `photo_settings`; `mask` replaces the flag's."""
    from photo.prepare import prepare

    return prepare(source, settings, mask=mask or options.mask, assume_cut_out=options.assume_cut_out)
