"""The settings of a lens, shared by the sections of rendering and reconstruction."""

from pydantic import PositiveFloat

from base.settings import Section


class LensSettings(Section):
    """The camera's lens: `sensor_mm` spans the longer edge of the image."""

    focal_mm: PositiveFloat
    sensor_mm: PositiveFloat
