"""The choice of the method to cut the object out, and its result."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from photo.border import cut_by_border
from photo.masks import MIDDLE, Mask, read_mask
from photo.read import Photo
from photo.segment import cut_by_network, find_network
from photo.settings import PhotoSettings

AUTO, ALPHA, BORDER = "auto", "alpha", "border"


@dataclass(frozen=True)
class CutOut:
    """The object of a photo: `rgba` (H, W, 4) with the mask as alpha, and the method.

    `confidence` in [0, 1] is the method's own; `checked` is whether its mask is to be trusted only after checks.
    """

    rgba: NDArray[np.uint8]
    method: str
    confidence: float = 1.0
    checked: bool = False


def cut_out(photo: Photo, settings: PhotoSettings, *, mask: Path | None, assume_cut_out: bool) -> CutOut:
    """The object of `photo`: by the mask file, by its own alpha, or by `settings.cut_out`.

    With `assume_cut_out`, `auto` takes the picture as it is, and what another method finds is not checked.

    Raises UsageError for a mask of another shape, and Failure where weights are missing.
    """
    if mask is not None:
        found = read_mask(mask, (photo.rgba.shape[0], photo.rgba.shape[1]), settings.limits)
        return CutOut(with_alpha(photo.rgba, found), f"mask {mask.name}")
    if settings.cut_out == ALPHA or (assume_cut_out and settings.cut_out == AUTO):
        return CutOut(photo.rgba, "as it is")
    # A few transparent pixels, such as rounded corners, are no cut-out.
    if settings.cut_out == AUTO and is_cut_out(photo.rgba, settings.checks.transparent):
        return CutOut(photo.rgba, ALPHA)
    if settings.cut_out in (AUTO, BORDER):
        cut = cut_by_border(photo.rgba[..., :3], settings.border)
        return CutOut(np.dstack([cut.rgb, levels(cut.mask)]), BORDER, cut.confidence, not assume_cut_out)
    found, name = cut_by_network(photo.rgba[..., :3], settings)
    return CutOut(with_alpha(photo.rgba, found), name, checked=not assume_cut_out)


def check_method(settings: PhotoSettings) -> None:
    """Raise UsageError for an unknown method, and Failure where its weights are missing."""
    if settings.cut_out not in (AUTO, ALPHA, BORDER):
        find_network(settings)


def is_cut_out(rgba: NDArray[np.uint8], least: float) -> bool:
    """True when at least this fraction of a picture is transparent."""
    return bool((rgba[..., 3] <= MIDDLE).mean() >= least)


def with_alpha(rgba: NDArray[np.uint8], mask: Mask) -> NDArray[np.uint8]:
    """The picture with the mask (H, W) as alpha; what was transparent stays so."""
    return np.dstack([rgba[..., :3], np.minimum(levels(mask), rgba[..., 3])])


def levels(mask: Mask) -> NDArray[np.uint8]:
    """A mask in [0, 1] as uint8."""
    return np.asarray(np.rint(np.clip(mask, 0.0, 1.0) * 255.0), np.uint8)
