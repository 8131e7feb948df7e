"""Tables of facts about objects: CSV or Parquet, a row per object and a column per fact."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from base.errors import UsageError
from pipeline.catalog.licences import is_same_licence, licence_key
from pipeline.catalog.objects import UNKNOWN, count_of
from pipeline.sources.headers import LICENCE, facts_of_columns

ROWS_AT_A_TIME = 1 << 12
COUNTS = ("faces", "vertices", "animations", "likes")


def read_table(path: Path, key: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV or `.parquet` file by the facts of their columns, as texts, empty if not stated.

    Raises UsageError for an unreadable file, for column names as `facts_of_columns` does, and for a row without a value
    in the column `key`, with more values than columns, with two licences, or with a malformed count.
    """
    rows = _parquet_rows(path) if path.suffix.lower() == ".parquet" else _csv_rows(path)
    facts = facts_of_columns(next(rows, []), str(path))
    for number, cells in enumerate(rows, start=1):
        row = _row(facts, cells, f"{path}: row {number}")
        if not row.get(key):
            raise UsageError(f"{path}: expected a column `{key}` with a value in every row")
        yield row


def _row(facts: Sequence[str], cells: Sequence[str], where: str) -> dict[str, str]:
    # A row with too many cells has them shifted: what is under `licence` is another column's.
    if any(cell.strip() for cell in cells[len(facts) :]):
        raise UsageError(f"{where}: expected {len(facts)} values, as there are columns, got {len(cells)}")
    cells = cells[: len(facts)]
    row = {fact: cell for fact, cell in zip(facts, cells, strict=False) if fact and fact != LICENCE}
    stated = [cell.strip() for fact, cell in zip(facts, cells, strict=False) if fact == LICENCE and licence_key(cell)]
    if not is_same_licence(stated):
        raise UsageError(f"{where}: expected a single licence, got {' and '.join(map(repr, stated))}")
    _check_counts(where, row)
    return row | {LICENCE: stated[0] if stated else ""}


def index_rows(path: Path, key: str) -> dict[str, dict[str, str]]:
    """Return the rows of such a table by their value in the column `key`. Raises UsageError for a repeated value."""
    found = dict[str, dict[str, str]]()
    for row in read_table(path, key):
        # Two rows of an object could state two licences, and choosing would be a guess.
        if found.setdefault(row[key], row) is not row:
            raise UsageError(f"{path}: expected every `{key}` once, got {row[key]!r} twice")
    return found


def facts_of(row: dict[str, str]) -> dict[str, Any]:
    """Return the facts in a row as fields of a `SourceObject`."""
    return {
        "licence": row.get(LICENCE, ""),
        "author": row.get("author", ""),
        "page": row.get("page") or row.get("source") or row.get("source_repo", ""),
        "category": row.get("category", ""),
        "tags": row.get("tags", ""),
        **{name: count_of(row.get(name, "")) for name in COUNTS},
    }


def _check_counts(where: str, row: dict[str, str]) -> None:
    for name in COUNTS:
        text = row.get(name, "").strip()
        if text and count_of(text) == UNKNOWN:
            what = f"a whole number below 2**63, or nothing, in the column `{name}`"
            raise UsageError(f"{where}: expected {what}, got {text[:80]!r}")


def _csv_rows(path: Path) -> Iterator[list[str]]:
    """Yield the non-empty rows of a CSV file, the names of its columns first."""
    try:
        # Excel begins CSV files with a byte order mark.
        with path.open(encoding="utf-8-sig", newline="") as stream:
            yield from filter(None, csv.reader(stream, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: expected a CSV file in UTF-8, got: {error}") from None


def _parquet_rows(path: Path) -> Iterator[list[str]]:
    """Yield the rows of a Parquet file, the names of its columns first. Names may repeat, so no row is a mapping."""
    try:
        with parquet.ParquetFile(path) as table:
            yield table.schema_arrow.names
            for batch in table.iter_batches(ROWS_AT_A_TIME, use_threads=False):
                columns = ([_text(value) for value in column.to_pylist()] for column in batch.columns)
                yield from map(list, zip(*columns, strict=True))
    except (OSError, pyarrow.ArrowException) as error:
        raise UsageError(f"{path}: expected a Parquet file, got: {error}") from None


def _text(value: object) -> str:
    return "" if value is None else str(value)
