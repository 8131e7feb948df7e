"""The settings of section `serve`: what the page's clients may ask for, and how quickly they are answered."""

from typing import Annotated

from pydantic import Field

from base.settings import Section

Count = Annotated[int, Field(ge=1)]
Minutes = Annotated[float, Field(gt=0.0)]


class LimitSettings(Section):
    """What a client, known by its address, may ask for.

    `requests_per_minute` counts uploads and jobs; `photos` are kept at a time for an address; `waiting` jobs are queued
    in all, `waiting_per_client` for an address; `views` and `guesses` are the most of one job.
    """

    requests_per_minute: Count
    photos: Count
    waiting: Count
    waiting_per_client: Count
    views: Annotated[int, Field(ge=1, le=256)]
    guesses: Annotated[int, Field(ge=1, le=64)]


class QuickSettings(Section):
    """The first, quick answer: UniPC with this `share` of the model's own steps, at least `steps`."""

    share: Annotated[float, Field(gt=0.0, le=1.0)]
    steps: Annotated[int, Field(ge=1, le=1000)]


class ServeSettings(Section):
    """The section `serve`: a photo and its results expire `expire_minutes` after their last use.

    Several guesses take at least `guess_steps` steps, because answers in a single step are all alike. Models stay
    loaded up to `models_mb` of weights. `elevation_deg` is the camera of a photo until a person says more.
    """

    limits: LimitSettings
    quick: QuickSettings
    guess_steps: Annotated[int, Field(ge=1, le=1000)]
    expire_minutes: Minutes
    models_mb: Count
    elevation_deg: Annotated[float, Field(ge=-90.0, le=90.0)]
