"""What is known of models that do not say it themselves: sampling defaults, and the original's sizes."""

from functools import cache
from pathlib import Path

from base.settings import Layer, read_yaml, validate
from zero123.settings import ModelSettings, SamplingSettings

USUAL_SAMPLING = Path(__file__).parent / "usual_sampling.yaml"
PAPER_MODEL = Path(__file__).parent / "paper_model.yaml"


@cache
def usual_sampling(spacing: str) -> SamplingSettings:
    """The usual sampling settings of a model whose schedule spaces timesteps so: `leading` or `trailing`."""
    return validate(SamplingSettings, Layer(str(USUAL_SAMPLING), read_yaml(USUAL_SAMPLING)[spacing]))


@cache
def paper_model() -> ModelSettings:
    """The sizes of the original's network, with which its checkpoints are read."""
    return validate(ModelSettings, Layer(str(PAPER_MODEL), read_yaml(PAPER_MODEL)))
