"""Sheets: all views of an object in a picture, row by row, as Zero123++ writes them (Shi et al., arXiv 2310.15110).

Its published sheet has 3 × 2 views of 320 × 320. Its demo cuts them row by row, and its cameras are the rig
`zero123plus`, in that order. The background is grey, a latent of zeros, and in later models of others white.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from base.errors import Failure
from evaluation.picture_files import read_picture

Pixels = NDArray[np.uint8]

SUFFIXES = (".png", ".webp")
MAX_CELLS = 64
MAX_SIDE = 4096
GREY = 127.5
"""The grey of Zero123++'s background: 0 in [−1, 1], as uint8."""


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A sheet of `rows` × `columns` views of `hw` pixels each, in reading order.

    A `grey` background becomes transparent: pixels of an opaque view within `grey_levels` of GREY in each channel, if
    they are connected to the view's border by such pixels. Grey that the object encloses stays.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    rows: int = 3
    columns: int = 2
    hw: tuple[int, int] = (320, 320)
    background: Literal["white", "grey"] = "white"
    grey_levels: int = 12

    def __post_init__(self) -> None:
        if min(self.rows, self.columns) < 1 or self.rows * self.columns > MAX_CELLS:
            raise ValueError(f"1 to {MAX_CELLS} views in rows and columns of 1 or more")
        if not all(1 <= side <= MAX_SIDE for side in self.hw):
            raise ValueError(f"hw of 1 to {MAX_SIDE} pixels")
        if not 0 <= self.grey_levels <= 64:
            raise ValueError("grey_levels from 0 to 64")


def find_sheet(views: Path, uid: str) -> Path | None:
    """Return the sheet `UID.png` or `UID.webp` of a folder, or None."""
    return next((path for suffix in SUFFIXES if (path := views / f"{uid}{suffix}").is_file()), None)


def cut_sheet(
    path: Path, sheet: Sheet, targets: tuple[int, ...], views: int, hw: tuple[int, int] | None
) -> dict[int, Pixels]:
    """Return the target views of a sheet, RGB or RGBA by number: it holds the targets in order, or all `views`.

    Raises Failure, in a sentence, for another number or size of views than `hw` if given, another size of the picture,
    and an opaque grey border where the background is said to be white.
    """
    count = sheet.rows * sheet.columns
    if count not in (len(targets), views):
        numbers = " or ".join(map(str, sorted({len(targets), views})))
        raise Failure(f"{path}: expected a sheet of {numbers} views, got {sheet.rows} rows of {sheet.columns}")
    height, width = sheet.hw
    if hw is not None and sheet.hw != hw:
        raise Failure(f"{path}: expected views of {hw[1]} × {hw[0]}, got a sheet of views of {width} × {height}")
    pixels = read_picture(path, (sheet.rows * height, sheet.columns * width))
    # (row, y, column, x, channel) to (row, column, y, x, channel): views in reading order.
    cells = pixels.reshape(sheet.rows, height, sheet.columns, width, -1).swapaxes(1, 2)
    cells = cells.reshape(count, height, width, -1)
    if pixels.shape[-1] == 3 and sheet.background == "grey":
        cells = np.stack([_without_grey(cell, sheet.grey_levels) for cell in cells])
    elif pixels.shape[-1] == 3 and _has_grey_border(cells, sheet.grey_levels):
        # On white, a grey background would cost the method its score without a word.
        raise Failure(f"{path}: expected a white background, got grey: `sheet: {{background: grey}}` in method.yaml")
    numbered = dict(zip(targets if count == len(targets) else range(views), cells, strict=True))
    return {number: numbered[number] for number in targets}


def _without_grey(view: Pixels, levels: int) -> Pixels:
    """Return a view (H, W, 3) as RGBA, transparent where the grey is connected to the border."""
    labels, _ = ndimage.label(_is_grey(view, levels))
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    # Label 0 is everything that is not grey.
    background = np.isin(labels, np.setdiff1d(border, [0]))
    return np.dstack([view, np.where(background, 0, 255).astype(np.uint8)])


def _has_grey_border(cells: Pixels, levels: int) -> bool:
    """Return whether most pixels of all views' borders are grey."""
    grey = _is_grey(cells, levels)
    border = np.concatenate([grey[:, 0], grey[:, -1], grey[:, :, 0], grey[:, :, -1]], axis=1)
    return bool(border.mean() > 0.5)


def _is_grey(pixels: Pixels, levels: int) -> NDArray[np.bool_]:
    return np.asarray((np.abs(pixels.astype(np.float64) - GREY) <= levels).all(axis=-1))
