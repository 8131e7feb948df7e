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
from pipeline.catalog.objects import SourceObject, uid_of
from pipeline.fetch.addresses import has_user, public_address
from pipeline.fetch.http import FetchError, quote_url
from pipeline.sources.table import facts_of, read_table

SHA256 = re.compile(r"[0-9a-f]{64}")


def url_objects(table: Path) -> Iterator[SourceObject]:
    """Yield every object of a CSV or Parquet table with a column `url`, and optionally `sha256`, `licence`, `title`, ….

    Credentials in an address are not part of an object's identity. Raises UsageError for an unreadable or empty table,
    for a repeated address, and for an address with user information or a scheme other than http and https.
    """
    # Eight bytes an address: the texts of millions of addresses would fill memory.
    seen = array("Q")
    for number, row in enumerate(read_table(table, "url"), start=1):
        item = _object(f"{table}: row {number}", row)
        seen.append(int(sha256_bytes(item.location.encode())[:16], 16))
        yield item
    if not seen:
        raise UsageError(f"objects.urls: expected rows in {table}, got nothing")
    if len(np.unique(np.frombuffer(seen, np.uint64))) < len(seen):
        # Equal hashes may be chance; only this slower second reading proves a repetition and names it.
        _check_once(table)


def _check_once(table: Path) -> None:
    named = Counter(public_address(row["url"].strip()) for row in read_table(table, "url"))
    for location, times in named.items():
        if times > 1:
            raise UsageError(f"{table}: expected every address once, got {location} {times} times")


def _object(where: str, row: dict[str, str]) -> SourceObject:
    url, sha256 = row["url"].strip(), row.get("sha256", "").strip().lower()
    # Without credentials, so that an address signed anew is the same object.
    location = public_address(url)
    if has_user(url):
        raise UsageError(f"{where}: expected an address without a user's name or password, got one for {location[:80]}")
    try:
        quote_url(url)
    except FetchError:
        raise UsageError(f"{where}: expected addresses of http or https, got {location[:80]!r}") from None
    if sha256 and not SHA256.fullmatch(sha256):
        raise UsageError(f"{where}: {location[:80]}: expected a sha256 of 64 hexadecimal digits, got {sha256[:80]!r}")
    stem = splitext(basename(unquote(urlsplit(url).path).rstrip("/")))[0]
    return SourceObject(
        uid=uid_of(stem, location),
        source="urls",
        location=location,
        sha256=sha256,
        title=row.get("title") or stem.replace("_", " "),
        address=url if url != location else "",
        **facts_of(row),
    )
