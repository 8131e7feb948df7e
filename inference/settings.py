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


class PictureChildSettings(Section):
    """Limits of the process that keeps the model of a worker, without effect on pictures.

    A phase is the cut-out, an estimate, or a batch of views. Past `recycle_above_mb` the process is started anew.
    `pictures_at_once` share batches on an accelerator, 0 for as many as fill a batch of views.
    """

    threads: Annotated[int, Field(ge=1)]
    start_timeout_s: Annotated[float, Field(gt=0.0)]
    phase_timeout_s: Annotated[float, Field(gt=0.0)]
    memory_mb: Annotated[int, Field(ge=1)]
    recycle_above_mb: Annotated[int, Field(ge=1)]
    pictures_at_once: Annotated[int, Field(ge=0, le=256)]


class ViewsSettings(Section):
    """What is made of a photo and its sampled views; `film_fps` is the frames a second of their film.

    `child` limits the workers of many pictures.
    """

    alpha: MattingSettings
    elevation: ElevationSettings
    film_fps: Annotated[float, Field(gt=0.0, le=120.0)]
    child: PictureChildSettings
