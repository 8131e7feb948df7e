"""The model that a command names: found, fetched, loaded."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from zero123.pipeline import Zero123Pipeline
    from zero123.public import Located
    from zero123.settings import SampleComputeSettings

DEFAULT = "mini"
"""The packaged model, which needs no network."""


@dataclass(frozen=True)
class ModelChoice:
    """The model that a command's flags name; without a name it is the packaged model."""

    name: str | None = None
    pose_slot4: Literal["radius_difference", "input_polar"] | None = None
    raw: bool = False
    accept_licence: bool = False

    @property
    def title(self) -> str:
        """The model's name in records: of a folder or file its last part, because the rest is this machine's."""
        name = self.name or DEFAULT
        return Path(name).name if Path(name).exists() else name


def locate(choice: ModelChoice) -> "Located":
    """Find the model on this machine, or fetch it; without a name it is the packaged model.

    Raises UsageError for an unknown name, Failure without a network.
    """
    from zero123.public import locate_model

    return locate_model(choice.name or DEFAULT, choice.pose_slot4, accept_licence=choice.accept_licence)


def checkpoint_of(model: Path | ModelChoice) -> Path:
    """The newest checkpoint of a training run's folder, or the model itself.

    Raises Failure for a folder that is neither.
    """
    from zero123.locate import newest_checkpoint

    return newest_checkpoint(locate(model).path if isinstance(model, ModelChoice) else model)


def load_model(
    model: Path | ModelChoice, device: str, compute: "SampleComputeSettings | None" = None
) -> "Zero123Pipeline":
    """The chosen model on the device of that name, `auto` for the best of this machine, ready to `compute` there.

    Raises Failure for a path without a model, UsageError for an unavailable device or precision.
    """
    from zero123.pipeline import Zero123Pipeline
    from zero123.public import open_located

    if isinstance(model, Path):
        pipeline = Zero123Pipeline.from_pretrained(model)
    else:
        pipeline = Zero123Pipeline.of(open_located(locate(model), averaged=not model.raw))
    return pipeline.prepare(compute, device) if compute else pipeline.to(device)
