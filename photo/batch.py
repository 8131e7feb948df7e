"""Many pictures at once: a folder, a pattern, or a CSV or Parquet file that lists pictures."""

import csv
import glob
import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from base.errors import UsageError
from base.storage import reason
from photo.source import STANDARD_INPUT, is_url

if TYPE_CHECKING:
    from pyarrow.parquet import FileMetaData

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".heic", ".heif", ".tif", ".tiff", ".bmp", ".gif")
"""The endings of a folder's pictures, unlike those of its other files."""
COLUMNS = ("image", "name", "mask", "elevation_deg")
MOST_PICTURES, MOST_LIST_BYTES = 1_000_000, 256 << 20
TABLES = (".csv", ".parquet")
LONGEST_VALUE = 4096
"""Letters of a value in a Parquet file: no path that a system opens is longer."""
SLUG_LENGTH, DIGITS = 64, 8


@dataclass(frozen=True, kw_only=True)
class BatchPicture:
    """A picture of a batch: its file, the name of its output folder, and what a CSV says about it."""

    source: str
    name: str
    mask: Path | None = None
    elevation_deg: float | None = None


def pictures_of_batch(sources: Sequence[str]) -> list[BatchPicture] | None:
    """List the pictures of a command line, in order; None for a single picture.

    A source is a picture, a folder (its picture files, sorted), a pattern with `*`, `?` or `[]` (`**` for folders
    below), or a CSV or Parquet file with a column `image` and optional `name`, `mask` and `elevation_deg`. Paths in it
    are relative to its folder. Pictures of the same name get a digest of their rows behind it.

    Raises UsageError for a source without pictures, a wrong list, and standard input beside other pictures.
    """
    if len(sources) == 1 and not _is_many(sources[0]):
        return None
    if STANDARD_INPUT in sources:
        raise UsageError("expected pictures, or `-` alone, got `-` beside others")
    listed = [picture for source in sources for picture in _listed(source)]
    if len(listed) > MOST_PICTURES:
        raise UsageError(f"expected at most {MOST_PICTURES:,} pictures, got {len(listed):,}")
    # A pattern and a folder may name the same picture.
    once = list(dict.fromkeys(listed))
    # Without letter case: on some disks `A` and `a` are the same folder.
    shared = Counter(picture.name.casefold() for picture in once)
    return [picture if shared[picture.name.casefold()] == 1 else _told_apart(picture) for picture in once]


def _is_many(source: str) -> bool:
    return source != STANDARD_INPUT and (Path(source).is_dir() or _is_table(source) or _is_pattern(source))


def _is_table(source: str) -> bool:
    return not is_url(source) and Path(source).suffix.lower() in TABLES


def _is_pattern(source: str) -> bool:
    return glob.has_magic(source) and not is_url(source) and not Path(source).exists()


def _listed(source: str) -> Iterator[BatchPicture]:
    if Path(source).is_dir():
        yield from _plain(_in_folder(Path(source)))
    elif _is_table(source):
        yield from _in_table(Path(source))
    elif _is_pattern(source):
        found = sorted(path for path in glob.glob(source, recursive=True) if Path(path).is_file())  # noqa: PTH207
        if not found:
            raise UsageError(f"{source}: expected pictures, got a pattern that no file matches")
        yield from _plain(found)
    else:
        yield from _plain([source])


def _plain(sources: Sequence[str]) -> Iterator[BatchPicture]:
    return (BatchPicture(source=source, name=_slug(Path(source).stem)) for source in sources)


def _in_folder(folder: Path) -> list[str]:
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    except OSError as error:
        raise UsageError(f"{folder}: expected a folder of pictures, got: {reason(error)}") from None
    found = [str(path) for path in files if not path.name.startswith(".")]
    if not found:
        raise UsageError(f"{folder}: expected a folder with pictures ({', '.join(SUFFIXES)}), got a folder without")
    return found


def _in_table(path: Path) -> Iterator[BatchPicture]:
    """Yield the rows of a CSV or Parquet file as pictures."""
    columns, rows = _parquet(path) if path.suffix.lower() == ".parquet" else _csv(path)
    if "image" not in columns or not set(columns) <= set(COLUMNS):
        raise UsageError(f"{path}: expected a column `image`, and as needed {', '.join(COLUMNS[1:])}, got {columns}")
    found = [_of_row(path, number, row) for number, row in enumerate(rows, start=2)]
    if not found:
        raise UsageError(f"{path}: expected a row for each picture, got a table without rows")
    yield from found


def _csv(path: Path) -> tuple[list[str], Iterable[dict[str, str]]]:
    rows = csv.DictReader(_text(path).splitlines())
    # Spreadsheets leave blanks after commas.
    columns = [name.strip() for name in rows.fieldnames or ()]
    rows.fieldnames = columns
    return columns, rows


def _parquet(path: Path) -> tuple[list[str], Iterable[dict[str, str]]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UsageError(f"{path}: expected the package pyarrow for a Parquet file, got none; use a CSV") from None
    try:
        # Without memory mapping: a file that shrinks meanwhile would end this process.
        with path.open("rb") as opened, parquet.ParquetFile(opened, memory_map=False) as file:
            _check_size(path, path.stat().st_size, file.metadata)
            names = file.schema_arrow.names
            # A long text that is stored once and meant for a million rows stays a single text.
            is_text = (pyarrow.types.is_string, pyarrow.types.is_large_string, pyarrow.types.is_binary)
            texts = [field.name for field in file.schema_arrow if any(is_kind(field.type) for is_kind in is_text)]
        table = parquet.read_table(path, use_threads=False, read_dictionary=texts)
    except (OSError, pyarrow.ArrowException) as error:
        raise UsageError(f"{path}: expected a Parquet file, got: {error}") from None
    for name in texts:
        for chunk in table.column(name).chunks:
            if any(len(text) > LONGEST_VALUE for text in chunk.dictionary.to_pylist() if text is not None):
                raise UsageError(f"{path}: {name}: expected at most {LONGEST_VALUE} letters, got a longer text")
    rows = ({name: "" if value is None else str(value) for name, value in row.items()} for row in table.to_pylist())
    return list(names), rows


def _check_size(path: Path, size: int, metadata: "FileMetaData") -> None:
    """Refuse a Parquet file that would fill the memory, before any value is decoded."""
    unpacked = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    if max(size, unpacked) > MOST_LIST_BYTES:
        raise UsageError(f"{path}: expected at most {MOST_LIST_BYTES >> 20} MiB, got {max(size, unpacked) >> 20}")
    if metadata.num_rows > MOST_PICTURES or metadata.num_columns > len(COLUMNS):
        raise UsageError(
            f"{path}: expected at most {MOST_PICTURES:,} rows of {', '.join(COLUMNS)}, "
            f"got {metadata.num_rows:,} rows of {metadata.num_columns:,} columns"
        )


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            # A byte more, to see whether the file goes on.
            data = file.read(MOST_LIST_BYTES + 1)
        if len(data) > MOST_LIST_BYTES:
            raise UsageError(f"{path}: expected at most {MOST_LIST_BYTES >> 20} MiB, got more")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: expected a readable CSV file, got: {reason(error)}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: expected a CSV file in UTF-8, got other bytes") from None


def _of_row(path: Path, number: int, row: dict[str, str]) -> BatchPicture:
    if None in row or None in row.values():
        raise UsageError(f"{path}:{number}: expected as many values as there are columns")
    image, name, mask, elevation = (row.get(column, "").strip() for column in COLUMNS)
    if not image:
        raise UsageError(f"{path}:{number}: expected a path in the column `image`, got nothing")
    return BatchPicture(
        source=image if is_url(image) else str(path.parent / image),
        name=_slug(name or Path(image).stem),
        mask=path.parent / mask if mask else None,
        elevation_deg=_degrees(elevation, f"{path}:{number}") if elevation else None,
    )


def _degrees(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not -90.0 <= value <= 90.0:
        raise UsageError(f"{where}: elevation_deg: expected degrees from -90 to 90, got {text!r}")
    return value


def _slug(text: str) -> str:
    """Return a text as the name of a folder."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_")[:SLUG_LENGTH] or "picture"


def _told_apart(picture: BatchPicture) -> BatchPicture:
    # A table may name a picture twice, with another mask or elevation.
    about = f"{picture.source}\n{picture.mask or ''}\n{picture.elevation_deg}"
    digest = hashlib.sha256(about.encode(errors="surrogatepass")).hexdigest()
    return replace(picture, name=f"{picture.name}-{digest[:DIGITS]}")
