"""The settings of section `views`: what is made of sampled views."""

from typing import Annotated

from pydantic import Field

from base.settings import Section
from zero123.settings import ElevationSettings

Levels = Annotated[int, Field(ge=0, le=255)]


class MattingSettings(Section):
    """The alpha of views on white, see inference/matting.py; levels are of 255.

    Pixels within `white_levels` of the view's white may be background; that white is at most `darkest_white_levels`
    below 255; the outline is `edge_px` wide.
    """

    white_levels: Levels
    darkest_white_levels: Levels
    edge_px: Annotated[int, Field(ge=1, le=16)]


class ViewsSettings(Section):
    """What is made of a photo and its sampled views; `film_fps` is the frames a second of their film."""

    alpha: MattingSettings
    elevation: ElevationSettings
    film_fps: Annotated[float, Field(gt=0.0, le=120.0)]
