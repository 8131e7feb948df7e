"""The settings of section `photo`: what is read, how the object is cut out, and how large it is in the frame."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from base.settings import Section
from geometry.camera import Lens

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]

Preparation = Literal["framed", "legacy", "as_is"]


class LimitSettings(Section):
    """The largest file and picture to decode, and the largest weights to fetch."""

    megabytes: Count
    megapixels: Annotated[int, Field(ge=1, le=1000)]
    weights_megabytes: Count


class CheckSettings(Section):
    """When a cut-out has failed. All are fractions.

    A picture with at least `transparent` of it transparent is cut out already. A cut-out by a method has failed when
    the object is less than `smallest` or more than `largest` of the picture, covers more than `border` of the
    picture's edge, has more than `pieces` of its area outside the largest piece, or was found with less `confidence`.
    """

    transparent: Fraction
    smallest: Fraction
    largest: Fraction
    border: Fraction
    pieces: Fraction
    confidence: Fraction


class SmoothDoubt(Section):
    """The weights of the signs against a mask before a smooth background, see photo/doubt.py."""

    bias: float
    hollow: NotNegative
    unstable: NotNegative
    removed: NotNegative
    sharp_shadow: NotNegative
    soft_dark: NotNegative


class TexturedDoubt(Section):
    """The weights of the signs against a mask before a texture, see photo/doubt.py."""

    bias: float
    colours: NotNegative
    concave: NotNegative


class BorderSettings(Section):
    """The cut-out without weights works at `side_px`; a background with more `roughness` (Lab units) is a texture.

    `smooth` and `textured` weigh the signs of a wrong outline before such backgrounds.
    """

    side_px: Annotated[int, Field(ge=32, le=1024)]
    roughness: Positive
    smooth: SmoothDoubt
    textured: TexturedDoubt


class KeptFraming(Section):
    """The pictures that look framed like training views already.

    The longer side of the object has `extents` edges of the unit cube, least and most, and its middle is at most
    `off_centre` of the frame from the frame's.
    """

    extents: tuple[Positive, Positive]
    off_centre: Annotated[float, Field(ge=0, le=0.5)]

    @model_validator(mode="after")
    def _is_range(self) -> Self:
        if self.extents[0] > self.extents[1]:
            raise ValueError("extents as [least, most]")
        return self


class FramingSettings(Section):
    """Where the object is in the frame.

    `framed` shows it as large as the training views of a camera at `radius` with this lens do: its longer side is
    `extent` edges of the unit cube. Square pictures within `kept` keep their own framing. `legacy` is the original's
    preparation. `as_is` keeps any picture's own framing. `margin` is the least distance to the frame's edge, as a
    fraction of the frame.
    """

    prepare: Preparation
    focal_mm: Positive
    sensor_mm: Positive
    radius: Annotated[float, Field(ge=0.6, le=10.0)]
    extent: Positive
    margin: Annotated[float, Field(ge=0, lt=0.5)]
    kept: KeptFraming

    def lens(self) -> Lens:
        """The lens as a `geometry.camera.Lens`."""
        return Lens(focal_mm=self.focal_mm, sensor_mm=self.sensor_mm)


class PhotoSettings(Section):
    """`cut_out` is `auto`, `alpha`, `border`, a model's name, or the path of an ONNX file; see photo/cutout.py.

    `auto` takes a picture's alpha, without any `border`, which needs no weights. `weights` is the folder of fetched
    weights.
    """

    cut_out: Annotated[str, Field(min_length=1)]
    weights: Annotated[str, Field(min_length=1)]
    limits: LimitSettings
    checks: CheckSettings
    border: BorderSettings
    framing: FramingSettings

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.checks.smallest >= self.checks.largest:
            raise ValueError("checks.smallest below checks.largest")
        return self
