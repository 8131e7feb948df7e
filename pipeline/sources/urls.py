"""Objects from a table of addresses."""

import re
from array import array
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from posixpath import basename, splitext
from urllib.parse import unquote, urlsplit

import numpy as np

from base.digest import sha256_bytes
from base.errors import UsageError
from pipeline.objects import SourceObject, uid_of
from pipeline.sources.table import facts_of, read_table
from pipeline.transport import FetchError, checked_url

SHA256 = re.compile(r"[0-9a-f]{64}")
DIGITS = 16
"""Of a uid: a table may name a million addresses whose files are all called `model.glb`."""


def url_objects(table: Path) -> Iterator[SourceObject]:
    """Every object of a CSV or Parquet table with a column `url` and, where known, `sha256`, `licence`, `title`, ….

    They come as they are read. Raises UsageError for a table that cannot be read, without rows, with an address twice,
    or with one that is not http or https.
    """
    seen = array("Q")
    for row in read_table(table, "url"):
        item = _object(table, row)
        seen.append(int(sha256_bytes(item.location.encode())[:16], 16))
        yield item
    if not seen:
        raise UsageError(f"objects.urls: expected rows in {table}, got none")
    if len(np.unique(np.frombuffer(seen, np.uint64))) < len(seen):
        _check_once(table)


def _check_once(table: Path) -> None:
    for url, times in Counter(row["url"].strip() for row in read_table(table, "url")).items():
        if times > 1:
            raise UsageError(f"{table}: expected every address once, got {url} {times} times")


def _object(table: Path, row: dict[str, str]) -> SourceObject:
    url, sha256 = row["url"].strip(), row.get("sha256", "").strip().lower()
    try:
        checked_url(url)
    except FetchError:
        raise UsageError(f"{table}: expected addresses of http or https, got {url[:80]!r}") from None
    if sha256 and not SHA256.fullmatch(sha256):
        raise UsageError(f"{table}: {url[:80]}: expected a sha256 of 64 hexadecimal digits, got {sha256[:80]!r}")
    stem = splitext(basename(unquote(urlsplit(url).path).rstrip("/")))[0]
    title = row.get("title") or stem.replace("_", " ")
    return SourceObject(uid_of(stem, url, DIGITS), "urls", url, sha256, title=title, **facts_of(row))
