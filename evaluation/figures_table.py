"""All figures of a scored folder as a table of its catalogue, `catalog/figures`, for DuckDB, Polars and Spark."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from base.storage import Storage
from evaluation.results import ObjectResult
from pipeline.catalog.columns import table_of
from pipeline.catalog.tables import Catalog

FIGURES = "catalog/figures"


@dataclass(frozen=True)
class FigureRow:
    """A figure of an object with its status, or an object with a damaged truth: without a metric, and with NaN."""

    uid: str
    fingerprint: str
    status: str
    reason: str
    variant: str = ""
    view: str = ""
    sample: int = 0
    metric: str = ""
    value: float = float("nan")


def write_figures(out: Path, results: Sequence[ObjectResult]) -> None:
    """Write the table of a scored folder, unless it has exactly these objects with these fingerprints."""
    catalog = Catalog(Storage(out.absolute(), setting="--out"))
    kept = catalog.select(FIGURES, "select distinct uid, fingerprint, status from rows")
    # Only measured results have a fingerprint; others may differ each time.
    if sorted((row["uid"], row["fingerprint"], row["status"]) for row in kept if row["fingerprint"]) != sorted(
        (result.uid, result.fingerprint, result.status) for result in results
    ):
        catalog.replace(FIGURES, table_of(FigureRow, [row for result in results for row in _rows(result)]))


def _rows(result: ObjectResult) -> Iterator[FigureRow]:
    about = (result.uid, result.fingerprint, result.status, result.reason)
    if not result.rows:
        yield FigureRow(*about)
    for row in result.rows:
        yield FigureRow(*about, row.variant, row.view, row.sample, row.metric, row.value)
