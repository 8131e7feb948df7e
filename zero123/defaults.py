"""Facts about models without them in their files: sampling defaults, and the original's sizes."""

from functools import cache
from pathlib import Path

from base.settings import Layer, read_yaml, validate
from zero123.settings import ModelSettings, SamplingSettings

USUAL_SAMPLING = Path(__file__).parent / "usual_sampling.yaml"
PAPER_MODEL = Path(__file__).parent / "paper_model.yaml"


@cache
def usual_sampling(spacing: str) -> SamplingSettings:
    """Return the usual sampling settings for a schedule with this spacing of timesteps: `leading` or `trailing`."""
    return validate(SamplingSettings, Layer(str(USUAL_SAMPLING), read_yaml(USUAL_SAMPLING)[spacing]))


@cache
def paper_model() -> ModelSettings:
    """Return the sizes of the original's network, for reading its checkpoints."""
    return validate(ModelSettings, Layer(str(PAPER_MODEL), read_yaml(PAPER_MODEL)))
