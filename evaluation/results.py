"""The result of an object as a file: a row for each variant, view, sample and metric."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from base.storage import write_atomically

Status = Literal["ok", "failed", "unusable"]
FACTS = ""
"""The variant of rows with facts about a true view: `coverage` of the picture in [0, 1], `angle_deg` to the input."""


@dataclass(frozen=True)
class Row:
    """A figure. `view` is empty for a mesh. An infinite PSNR is kept."""

    variant: str
    view: str
    sample: int
    metric: str
    value: float


@dataclass(frozen=True)
class ObjectResult:
    """All figures of an object, for exactly the inputs behind `fingerprint`.

    A failed object keeps its `reason`, and rows with what the protocol counts it for. An unusable object has a
    damaged truth and no rows.
    """

    uid: str
    fingerprint: str
    status: Status
    reason: str
    rows: tuple[Row, ...]


def write_result(folder: Path, result: ObjectResult) -> None:
    """Write `UID.json`, completely or not at all."""
    values = {**asdict(result), "rows": [[r.variant, r.view, r.sample, r.metric, _plain(r.value)] for r in result.rows]}
    write_atomically(folder / f"{result.uid}.json", (json.dumps(values, indent=1, allow_nan=False) + "\n").encode())


def read_result(folder: Path, uid: str) -> ObjectResult | None:
    """Read a result; None if it is missing or damaged, so that it is measured again."""
    try:
        values: dict[str, Any] = json.loads((folder / f"{uid}.json").read_text(encoding="utf-8"))
        rows = tuple(Row(str(a), str(b), int(c), str(d), float(e)) for a, b, c, d, e in values["rows"])
        return ObjectResult(uid, values["fingerprint"], values["status"], values["reason"], rows)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _plain(value: float) -> float | str:
    # JSON has no infinity; Python's float reads these words back.
    return value if math.isfinite(value) else str(value)
