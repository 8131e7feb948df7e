"""Sampling defaults for models that carry none."""

from functools import cache
from pathlib import Path

from base.settings import Layer, read_yaml, validate
from zero123.settings import SamplingSettings

FILE = Path(__file__).parent / "usual_sampling.yaml"


@cache
def usual_sampling(spacing: str) -> SamplingSettings:
    """The usual sampling settings of a model whose schedule spaces timesteps so: `leading` or `trailing`."""
    return validate(SamplingSettings, Layer(str(FILE), read_yaml(FILE)[spacing]))
