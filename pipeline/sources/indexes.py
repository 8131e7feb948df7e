"""The indexes of Objaverse, in the `objaverse` package's layout, fetched by our own transport.

An index is taken from the cache, else from the package's folder, else fetched, whole or not at all. The package itself
never opens a connection. Large indexes are read in parts.
"""

import gzip
import json
import re
import zlib
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from base.errors import Failure
from base.storage import write_atomically
from pipeline.catalog.locations import OBJAVERSE
from pipeline.fetch.fetch import FetchError, fetch
from pipeline.fetch.limiter import Buckets
from pipeline.settings import FetchSettings, ObjaverseSettings
from pipeline.sources.hub import OBJAVERSE_XL, file_url, token

PATHS, LVIS, SKETCHFAB = "object-paths.json.gz", "lvis-annotations.json.gz", "sketchfab/sketchfab.parquet"
SHA256 = re.compile(r"[0-9a-f]{64}")
DAMAGE = (OSError, EOFError, KeyError, TypeError, ValueError, zlib.error)
"""The errors of reading a damaged file; pyarrow's are ValueErrors."""


@dataclass
class Indexes:
    """The indexes of Objaverse, and of the Sketchfab part of Objaverse-XL.

    Every method raises Failure for an index that cannot be fetched or read. A damaged file is removed from the cache,
    so that the next run fetches it again.
    """

    settings: ObjaverseSettings
    fetching: FetchSettings
    gate: Buckets = field(init=False)

    def __post_init__(self) -> None:
        self.gate = Buckets(self.fetching.requests, self.fetching.window_s)

    def paths(self) -> dict[str, str]:
        """Return the path of every object in the repository, by uid."""
        return self._by_package(PATHS, lambda package: package._load_object_paths(), str)

    def lvis(self) -> dict[str, list[str]]:
        """Return the uids of every LVIS category. An object may be in several."""
        return self._by_package(LVIS, lambda package: package.load_lvis_annotations(), list)

    def annotations(self, part: str) -> dict[str, Any]:
        """Return the annotations of the objects of a folder, `000-000` to `000-159`.

        The package would hold all folders at once.
        """
        path = self._have(OBJAVERSE, self.settings.revision, f"metadata/{part}.json.gz")
        with self._sound(path):
            return _mapping(path)

    def sha256(self, uids: Container[str]) -> dict[str, str]:
        """Return the SHA-256 of those of `uids` known to Objaverse-XL, read row by row."""
        from pyarrow import parquet

        path = self._have(OBJAVERSE_XL, self.settings.xl_revision, SKETCHFAB)
        found = {}
        with self._sound(path), parquet.ParquetFile(path) as table:
            for batch in table.iter_batches(columns=["fileIdentifier", "sha256"], use_threads=False):
                rows = zip(*(batch[name].to_pylist() for name in ("fileIdentifier", "sha256")), strict=True)
                for page, sha256 in rows:
                    # Objaverse-XL names an object by its page at Sketchfab; the uid is its last part.
                    uid = str(page).rpartition("/")[2]
                    if uid in uids and SHA256.fullmatch(str(sha256)):
                        found[uid] = str(sha256)
        return found

    def _by_package(self, name: str, read: Callable[[Any], Any], kind: type) -> dict[str, Any]:
        """Return what the package reads from our cache: a mapping to values of the given kind."""
        import objaverse

        path = self._have(OBJAVERSE, self.settings.revision, name)
        # The package has no public setting for its folder.
        objaverse._VERSIONED_PATH = str(path.parent)
        with self._sound(path):
            found = read(objaverse)
            # The index is a stranger's file; a wrong type would surface much later and without its name.
            if not isinstance(found, dict) or not all(type(value) is kind for value in found.values()):
                raise TypeError(f"something else than uids with a {kind.__name__} each")
            return found

    def _have(self, repository: str, revision: str, name: str) -> Path:
        """Return the path of an index, after fetching it if need be."""
        path = Path(self.settings.cache).expanduser() / quote(revision, safe="") / name
        if path.exists() or self._copy_downloaded(repository, revision, name, path):
            return path
        try:
            fetch(file_url(repository, revision, name), path, self.fetching, self.gate, token=token())
        except FetchError as error:
            raise Failure(f"Objaverse's index {name} cannot be had: {error.reason}") from None
        with self._sound(path):
            _check(path)
        return path

    def _copy_downloaded(self, repository: str, revision: str, name: str, target: Path) -> bool:
        """Copy an index from the package's own folder. A damaged copy is left, to be fetched."""
        if not self.settings.downloaded or revision != "main":  # the package knows no other
            return False
        folder = Path(self.settings.downloaded).expanduser()
        source = (folder if repository == OBJAVERSE else folder.parent) / name
        try:
            _check(source)
            write_atomically(target, source.read_bytes())
        except DAMAGE:
            return False
        return True

    @contextmanager
    def _sound(self, path: Path) -> Iterator[None]:
        try:
            yield
        except DAMAGE as error:
            path.unlink(missing_ok=True)
            kind = "Parquet" if path.suffix == ".parquet" else "gzipped JSON"
            raise Failure(f"Objaverse's index {path.name}: expected {kind}, got: {error}") from None


def _check(path: Path) -> None:
    if path.suffix == ".parquet":
        from pyarrow import parquet

        with parquet.ParquetFile(path) as table:
            table.schema_arrow.field("sha256")
    else:
        _mapping(path)


def _mapping(path: Path) -> dict[str, Any]:
    with gzip.open(path, "rb") as stream:
        value = json.load(stream)
    if not isinstance(value, dict):
        raise TypeError(f"{type(value).__name__} in place of a mapping")
    return value
