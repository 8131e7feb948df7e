"""Tables that say what is known of objects: CSV or Parquet, one row an object, a column a fact."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from base.errors import UsageError
from pipeline.catalog.objects import UNKNOWN, count_of

ROWS_AT_A_TIME = 1 << 12
COUNTS = ("faces", "vertices", "animations", "likes")


def read_table(path: Path, key: str) -> Iterator[dict[str, str]]:
    """The rows of a CSV or `.parquet` file as they are read, every value as text, an absent one empty.

    Raises UsageError for a file that cannot be read, for a row without a value in the column `key`, and for a count
    that is none.
    """
    rows = _parquet_rows(path) if path.suffix.lower() == ".parquet" else _csv_rows(path)
    for number, row in enumerate(rows, start=1):
        if not row.get(key):
            raise UsageError(f"{path}: expected a column `{key}` with a value in every row")
        _check_counts(f"{path}: row {number}", row)
        yield row


def rows_by(path: Path, key: str) -> dict[str, dict[str, str]]:
    """The rows of such a file by their value in the column `key`. Raises UsageError also for one that comes twice."""
    found = dict[str, dict[str, str]]()
    for row in read_table(path, key):
        if found.setdefault(row[key], row) is not row:
            raise UsageError(f"{path}: expected every `{key}` once, got {row[key]!r} twice")
    return found


def facts_of(row: dict[str, str]) -> dict[str, Any]:
    """What a row says of its object, as the fields of a `SourceObject`."""
    return {
        "licence": row.get("licence") or row.get("license", ""),
        "author": row.get("author", ""),
        "page": row.get("page") or row.get("source") or row.get("source_repo", ""),
        "category": row.get("category", ""),
        "tags": row.get("tags", ""),
        **{name: count_of(row.get(name, "")) for name in COUNTS},
    }


def _check_counts(place: str, row: dict[str, str]) -> None:
    for name in COUNTS:
        text = row.get(name, "").strip()
        if text and count_of(text) == UNKNOWN:
            what = f"a whole number below 2**63, or nothing, in the column `{name}`"
            raise UsageError(f"{place}: expected {what}, got {text[:80]!r}")


def _csv_rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            for row in csv.DictReader(stream, strict=True):
                yield {key: value for key, value in row.items() if key and isinstance(value, str)}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: expected a CSV file in UTF-8, got: {error}") from None


def _parquet_rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        with parquet.ParquetFile(path) as table:
            for batch in table.iter_batches(ROWS_AT_A_TIME, use_threads=False):
                for row in batch.to_pylist():
                    yield {key: str(value) for key, value in row.items() if value is not None}
    except (OSError, pyarrow.ArrowException) as error:
        raise UsageError(f"{path}: expected a Parquet file, got: {error}") from None
