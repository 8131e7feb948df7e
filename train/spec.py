"""The specification of a training run, and what its files say about it afterwards."""

from dataclasses import dataclass
from pathlib import Path

from base.errors import Failure
from base.storage import Storage
from train.log import LOG, LogRow, read_log
from train.settings import TrainSettings
from train.state import finished_checkpoints, read_position
from zero123.settings import ModelSettings, SamplingSettings


@dataclass(frozen=True)
class TrainSpec:
    """What to train: a model, with these settings, on the dataset in `storage`, into the run's folder `out`.

    Checkpoints carry `sampling` as their defaults. None keeps the defaults of the model.
    """

    model: ModelSettings
    settings: TrainSettings
    storage: Storage
    out: Path
    sampling: SamplingSettings | None = None


@dataclass(frozen=True)
class TrainSummary:
    """A run: `images` learnt from, `seconds` spent over all calls, its newest checkpoint, and the rows of its log.

    `first` is True in the rank that writes the files.
    """

    images: int
    seconds: float
    checkpoint: Path
    log: tuple[LogRow, ...]
    first: bool

    @property
    def loss_curve(self) -> tuple[tuple[int, float], ...]:
        """(images, mean loss since the point before), without rows in which every step was bad."""
        return tuple((row.images, row.loss) for row in self.log if row.loss is not None)


def read_summary(out: Path, *, first: bool) -> TrainSummary:
    """Read the summary of a run from its files. Raises Failure if it has no checkpoint."""
    finished = finished_checkpoints(out)
    if not finished:
        raise Failure(f"{out}: expected a checkpoint of a run, got nothing")
    position = read_position(finished[-1])
    return TrainSummary(position.images, position.seconds, finished[-1], tuple(read_log(out / LOG)), first)
