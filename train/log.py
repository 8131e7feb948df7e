"""The log of a run, `log.jsonl`: one line of JSON every so many images."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from base.errors import Failure
from base.storage import reason, write_atomically


@dataclass(frozen=True)
class Row:
    """After `images` images: means since the row before, and the rate of the last step.

    `data_wait` is the share of the time that was spent waiting for data.
    """

    images: int
    loss: float
    gradient_norm: float
    learning_rate: float
    images_per_s: float
    data_wait: float


class Log:
    """The rows of a run's log; taking up a run at an earlier point forgets the rows after it."""

    def __init__(self, path: Path, images: int) -> None:
        self.path = path
        self.rows = [row for row in read_log(path) if row.images <= images]
        kept = "".join(map(_line, self.rows)).encode()
        if not path.is_file() or path.read_bytes() != kept:
            write_atomically(path, kept)

    def add(self, row: Row) -> None:
        """Append a row. Raises Failure when it cannot be written."""
        self.rows.append(row)
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(_line(row))
        except OSError as error:
            raise Failure(f"{self.path}: could not write: {reason(error)}") from None


def read_log(path: Path) -> list[Row]:
    """The rows of a log; none when there is no file. A last line that was cut off is left out."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else ():
        if line.endswith("\n"):
            try:
                rows.append(Row(**json.loads(line)))
            except (ValueError, TypeError):
                raise Failure(f"{path}: expected a training log of this program, got: {line[:80]!r}") from None
    return rows


def _line(row: Row) -> str:
    return json.dumps(asdict(row)) + "\n"


class Since:
    """What happened since the last row of the log."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.norms: list[float] = []
        self.waited = self.seconds = 0.0
        self.images = 0

    def add(self, loss: float, norm: float, waited: float, seconds: float, images: int) -> None:
        """Count one step."""
        self.losses.append(loss)
        self.norms.append(norm)
        self.waited += waited
        self.seconds += seconds
        self.images += images

    def row(self, images: int, rate: float) -> Row:
        """The row that sums the steps up, after `images` images in all."""
        count = len(self.losses)
        return Row(
            images=images,
            loss=sum(self.losses) / count,
            gradient_norm=sum(self.norms) / count,
            learning_rate=rate,
            images_per_s=self.images / max(self.seconds, 1e-9),
            data_wait=self.waited / max(self.seconds, 1e-9),
        )
