"""Tables that say what is known of objects: CSV or Parquet, one row an object, a column a fact."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from base.errors import UsageError
from pipeline.objects import UNKNOWN

ROWS_AT_A_TIME = 1 << 12
COUNTS = ("faces", "vertices", "animations", "likes")


def read_table(path: Path, key: str) -> Iterator[dict[str, str]]:
    """The rows of a CSV or `.parquet` file as they are read, every value as text, an absent one empty.

    Raises UsageError for a file that cannot be read and for a row without a value in the column `key`.
    """
    for row in _parquet_rows(path) if path.suffix.lower() == ".parquet" else _csv_rows(path):
        if not row.get(key):
            raise UsageError(f"{path}: expected a column `{key}` with a value in every row")
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
        **{name: _count(row.get(name, "")) for name in COUNTS},
    }


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


def _count(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() else UNKNOWN
