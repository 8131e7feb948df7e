"""The log of a run, `log.jsonl`: a line of JSON for every interval of images."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from base.errors import Failure
from base.storage import reason, write_atomically
from train.step import BUCKETS, Step

LOG = "log.jsonl"


@dataclass(frozen=True)
class LogRow:
    """After `images` images: means since the row before, and the learning rates of the last step.

    `loss` and `gradient_norm` are None if every step was bad. `loss_by_timestep` has the losses of equal parts of the
    schedule, clean to noisy, and None for a part without pairs. `mfu` is the model's share of the device's peak, None
    for an unknown peak. `data_wait` is the share of time spent waiting for data. `skipped` counts the bad steps of the
    whole run.
    """

    images: int
    loss: float | None
    loss_by_timestep: tuple[float | None, ...]
    gradient_norm: float | None
    learning_rate: float
    projection_rate: float
    images_per_s: float
    mfu: float | None
    data_wait: float
    skipped: int


class Log:
    """The rows of a run's log up to `images`. Later rows, of work lost with its checkpoint, are removed.

    Without a path, as in ranks after the first, nothing is written.
    """

    def __init__(self, path: Path | None, images: int) -> None:
        self.path = path
        # A resumed run repeats the images after its checkpoint, and would log them twice.
        self.rows = [row for row in read_log(path) if row.images <= images] if path else []
        kept = "".join(map(_line, self.rows)).encode()
        if path and (not path.is_file() or path.read_bytes() != kept):
            write_atomically(path, kept)

    def add(self, row: LogRow) -> None:
        """Append a row. Raises Failure if writing fails."""
        self.rows.append(row)
        if self.path is None:
            return
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(_line(row))
        except OSError as error:
            raise Failure(f"{self.path}: could not write: {reason(error)}") from None


def read_log(path: Path) -> list[LogRow]:
    """Read the rows of a log, none if there is no file. A truncated last line is ignored."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else ():
        # A run that was killed may leave half a line.
        if line.endswith("\n"):
            try:
                values = json.loads(line)
                rows.append(LogRow(**values | {"loss_by_timestep": tuple(values["loss_by_timestep"])}))
            except (ValueError, TypeError, KeyError):
                raise Failure(f"{path}: expected a training log of this program, got: {line[:80]!r}") from None
    return rows


def _line(row: LogRow) -> str:
    return json.dumps(asdict(row)) + "\n"


class LogInterval:
    """Sums since the last row of the log. Bad steps count only for time."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.norms: list[float] = []
        self.sums, self.counts = [0.0] * BUCKETS, [0.0] * BUCKETS
        self.waited = self.seconds = 0.0
        self.images = 0

    def add(self, step: Step, waited: float, seconds: float, images: int) -> None:
        """Count a step."""
        self.waited += waited
        self.seconds += seconds
        self.images += images
        if not step.bad:
            self.losses.append(step.loss)
            self.norms.append(step.norm)
            self.sums = [before + more for before, more in zip(self.sums, step.sums, strict=True)]
            self.counts = [before + more for before, more in zip(self.counts, step.counts, strict=True)]

    @property
    def means(self) -> tuple[float | None, float | None]:
        """The mean loss and gradient norm, None without a good step."""
        count = len(self.losses)
        return (sum(self.losses) / count, sum(self.norms) / count) if count else (None, None)

    @property
    def images_per_s(self) -> float:
        """Images per second."""
        # A clock of low resolution can measure nothing at all.
        return self.images / max(self.seconds, 1e-9)

    @property
    def data_wait(self) -> float:
        """The share of time spent waiting for data."""
        return self.waited / max(self.seconds, 1e-9)

    @property
    def by_timestep(self) -> tuple[float | None, ...]:
        """The mean loss of each part of the schedule."""
        return tuple(total / count if count else None for total, count in zip(self.sums, self.counts, strict=True))
