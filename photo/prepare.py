"""A person's picture, prepared: read, cut out, checked; then framed at the size of any model."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from base.errors import Failure
from base.progress import Progress
from photo.checks import HELP, cut_sides, doubt
from photo.cutout import cut_out
from photo.framing import frame, framing_words
from photo.masks import MIDDLE
from photo.read import Photo, read_photo
from photo.settings import FramingSettings, PhotoSettings


@dataclass(frozen=True)
class Prepared:
    """The object of a photo, before any model is known.

    `cut_out` is uint8 RGBA (H, W, 4) at the photo's size, `method` how it was cut out; `warnings` are sentences for a
    person, for example about an object cut off by the photo's edge.
    """

    photo: Photo
    cut_out: NDArray[np.uint8]
    method: str
    framing: FramingSettings
    warnings: tuple[str, ...]

    def view(self, hw: tuple[int, int]) -> NDArray[np.uint8]:
        """The object as the model's input view, uint8 RGBA (h, w, 4) of `hw`."""
        return frame(self.cut_out, hw, self.framing)

    @property
    def has_background(self) -> bool:
        """Whether the input view shows where the object ends."""
        return self.framing.prepare != "legacy" and bool((self.cut_out[..., 3] <= MIDDLE).any())

    def facts(self) -> dict[str, str | float | list[str]]:
        """What a record of a sampled view should hold about its photo; JSON values."""
        return {
            "photo": Path(self.photo.name).name,
            "photo_sha256": self.photo.sha256,
            "cut_out": self.method,
            "prepare": self.framing.prepare,
            "framing": framing_words(self.cut_out, self.framing),
            "radius": self.framing.radius,
            "warnings": list(self.warnings),
        }


def prepare(
    source: str | Path, settings: PhotoSettings, *, mask: Path | None = None, assume_cut_out: bool = False
) -> Prepared:
    """The object in the picture file `source`, or in standard input for `-`.

    `mask` is a picture, white on the object; with `assume_cut_out` nothing is checked (see `cut_out`). Raises
    UsageError for what is no picture, and Failure, naming what helps, when the object could not be cut out.
    """
    return prepare_photo(read_photo(source, settings.limits), settings, mask=mask, assume_cut_out=assume_cut_out)


def prepare_photo(
    photo: Photo, settings: PhotoSettings, *, mask: Path | None = None, assume_cut_out: bool = False
) -> Prepared:
    """As `prepare`, for a photo in memory."""
    cut = cut_out(photo, settings, mask=mask, assume_cut_out=assume_cut_out)
    got = doubt(cut, settings.checks) if cut.checked else None
    if got is not None:
        raise Failure(f"{photo.name}: expected one object before a background, got {got}; what helps: {HELP}")
    sides = cut_sides(cut.rgba[..., 3] > MIDDLE)
    cut_off = (f"the {' and '.join(sides)} edge of the photo cuts the object off",) if sides else ()
    return Prepared(photo, cut.rgba, cut.method, settings.framing, (*photo.notes, *cut_off))


def say_warnings(prepared: Prepared, progress: Progress) -> None:
    """Tell a person what was noticed about the photo, and what the framing does, a line each."""
    for words in (*prepared.warnings, framing_words(prepared.cut_out, prepared.framing)):
        progress.say(f"{prepared.photo.name}: {words}")
