"""A photo's cut-out as the page shows it: automatic, by a person's threshold or mask; and what is doubtful about it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from base.errors import UsageError
from photo.border import cut_by_border
from photo.checks import cut_sides, doubt
from photo.cutout import BORDER, CutOut, cut_out, levels, with_alpha
from photo.masks import MIDDLE, mask_of_bytes
from photo.prepare import Prepared
from photo.read import photo_of_bytes
from photo.settings import PhotoSettings

NAME = "the photo"
"""Files of the server have no names in its answers."""


@dataclass(frozen=True)
class Correction:
    """What a person corrected: a mask's bytes, or a `threshold` in deviations from the background; else nothing."""

    mask: bytes | None = None
    threshold: float | None = None


@dataclass(frozen=True)
class Shown:
    """A prepared photo, and a sentence about its cut-out, empty when nothing speaks against it."""

    prepared: Prepared
    doubt: str

    @property
    def has_object(self) -> bool:
        """Whether anything is left after the cut-out."""
        return bool((self.prepared.cut_out[..., 3] > MIDDLE).any())

    def check(self) -> None:
        """Raise UsageError without an object."""
        if not self.has_object:
            raise UsageError(f"{NAME}: expected an object in the cut-out, got none: correct the cut-out first")


def cut(data: bytes, correction: Correction, settings: PhotoSettings) -> Shown:
    """Read a photo's bytes and cut its object out. Raises UsageError for what is no picture."""
    photo = photo_of_bytes(NAME, data, settings.limits)
    found, got = _cut_out(photo.rgba, correction, settings), None
    # What a person cut out is not doubted; only the automatic cut-out is checked.
    if found is None:
        found = cut_out(photo, settings, mask=None, assume_cut_out=False)
        got = doubt(found, settings.checks) if found.checked else None
    sides = cut_sides(found.rgba[..., 3] > MIDDLE)
    cut_off = (f"The {' and '.join(sides)} edge of the photo cuts the object off.",) if sides else ()
    prepared = Prepared(photo, found.rgba, found.method, settings.framing, (*photo.notes, *cut_off))
    return Shown(prepared, f"This may not be the object alone: the cut-out has {got}." if got else "")


def _cut_out(rgba: NDArray[np.uint8], correction: Correction, settings: PhotoSettings) -> CutOut | None:
    """Cut out as a person says; None where nothing was said."""
    if correction.mask is not None:
        mask = mask_of_bytes("the mask", correction.mask, (rgba.shape[0], rgba.shape[1]), settings.limits)
        return CutOut(with_alpha(rgba, mask), "your mask")
    if correction.threshold is not None:
        made = cut_by_border(rgba[..., :3], settings.border, correction.threshold)
        return CutOut(np.dstack([made.rgb, levels(made.mask)]), f"{BORDER}, threshold {correction.threshold:g}")
    return None
