"""The summary of a scored prediction folder: figures of each object, their means, the failures."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from base.errors import Failure, UsageError
from base.storage import write_atomically
from evaluation.datasets.base import read_json_file
from evaluation.predictions import Method
from evaluation.protocol import Protocol
from evaluation.results import FACTS, ObjectResult, read_result
from evaluation.statistics import Mean, mean_over_objects

Figures = dict[str, dict[str, dict[str, float]]]
"""Variant → metric → uid → figure."""


@dataclass(frozen=True)
class Summary:
    """What `OUT/summary.json` holds.

    `figures` has a value for each object: the mean over its samples and views. Failed objects have what the protocol
    counts them for. `failed` and `unusable` map uids to reasons. `unmeasured` lists metrics whose network was not
    given, `networks` the digests of the others. `distances` maps variants to distances of all views together
    (see evaluation.set_distances).
    """

    protocol: str
    protocol_digest: str
    method: dict[str, Any]
    objects: int
    figures: Figures
    failed: dict[str, str] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)
    unmeasured: tuple[str, ...] = ()
    networks: dict[str, str] = field(default_factory=dict)
    distances: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return the name of the method."""
        return str(self.method.get("name", ""))

    def mean(self, variant: str, metric: str, *, with_failed: bool = True) -> Mean:
        """Return the mean over objects; NaN for an unmeasured metric."""
        values = self.figures.get(variant, {}).get(metric, {})
        kept = [value for uid, value in sorted(values.items()) if with_failed or uid not in self.failed]
        return mean_over_objects(np.array(kept, np.float64))


def summarise(
    name: str, protocol: Protocol, method: Method, results: Sequence[ObjectResult], networks: dict[str, str]
) -> Summary:
    """Summarise the results of all objects."""
    figures: Figures = defaultdict(lambda: defaultdict(dict))
    for result in results:
        for (variant, metric), value in object_figures(result).items():
            figures[variant][metric][result.uid] = value
    asked = {metric for variant in protocol.variants.values() for metric in variant.metrics}
    # An F-score has a name for each threshold.
    found = {metric.partition("@")[0] for variant in figures.values() for metric in variant}
    return Summary(
        protocol=name,
        protocol_digest=protocol.digest(),
        method=asdict(method),
        objects=len(results),
        figures={variant: dict(metrics) for variant, metrics in figures.items()},
        failed={result.uid: result.reason for result in results if result.status == "failed"},
        unusable={result.uid: result.reason for result in results if result.status == "unusable"},
        unmeasured=tuple(sorted(asked - found)),
        networks=networks,
    )


def object_figures(result: ObjectResult) -> dict[tuple[str, str], float]:
    """Return the mean over samples and views for each (variant, metric). Unmeasured views (NaN) are left out."""
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in result.rows:
        if row.variant != FACTS and not np.isnan(row.value):
            values[row.variant, row.metric].append(row.value)
    return {key: float(np.mean(found)) for key, found in values.items()}


def write_summary(folder: Path, summary: Summary) -> None:
    """Write `summary.json`. Infinity is written as text."""
    values = asdict(summary)
    values["figures"] = {
        variant: {metric: {uid: _plain(value) for uid, value in found.items()} for metric, found in metrics.items()}
        for variant, metrics in summary.figures.items()
    }
    text = json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_atomically(folder / "summary.json", f"{text}\n".encode())


def read_summary(folder: Path) -> Summary:
    """Read `summary.json`. Raises UsageError if the folder has none, Failure for a damaged file."""
    path = folder / "summary.json"
    if not path.is_file():
        raise UsageError(f"{folder}: expected the folder of `zero123 benchmark score`, got no summary.json")
    values = read_json_file(path)
    try:
        values["figures"] = {
            variant: {metric: {uid: float(value) for uid, value in found.items()} for metric, found in metrics.items()}
            for variant, metrics in values["figures"].items()
        }
        return Summary(**{**values, "unmeasured": tuple(values["unmeasured"])})
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise Failure(f"{path}: expected a summary, got {error!r}") from None


def read_results(folder: Path, summary: Summary) -> list[ObjectResult]:
    """Read the rows of all objects of a summary. Missing files are left out."""
    uids = sorted({uid for metrics in summary.figures.values() for found in metrics.values() for uid in found})
    return [result for uid in uids if (result := read_result(folder / "rows", uid)) is not None]


def _plain(value: float) -> float | str:
    return value if np.isfinite(value) else str(value)
