"""Provide the file of an item to a worker: a local path, a copy from a cache, or a fetch."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from base.digest import sha256_file
from base.outcomes import Outcome
from pipeline.catalog.objects import SourceObject
from pipeline.fetch.fetch import FetchError, check_glb, fetch
from pipeline.fetch.limiter import Gate
from pipeline.fetch.model_cache import ModelCache
from pipeline.settings import FetchSettings, ObjaverseSettings
from pipeline.sources.hub import address_on, find_downloaded, token
from pipeline.work.stage import Stage

HUB_SOURCES = ("objaverse", "objaverse-xl")
SUFFIX = re.compile(r"\.[a-z][a-z0-9]{1,4}")
"""An ending of an address that names a format. Other endings belong to the name."""


@dataclass(frozen=True)
class ItemFiles:
    """The way to the files of a stage's items. Requests to servers pass the `gate`; only `hub` may see the token."""

    stage: Stage
    fetch: FetchSettings
    objaverse: ObjaverseSettings
    hub: str
    gate: Gate

    def provide(self, item: SourceObject, folder: Path) -> tuple[Path, str]:
        """Return the item's local path, or fetch its file into `folder`; with its digest. Raises FetchError."""
        if (local := self._read_here(item, folder)) is not None:
            return local
        if not item.location:
            raise FetchError(
                Outcome.MISSING, f"{item.title or item.uid}: expected in the index of {item.source}, got nothing"
            )
        suffix, known = PurePosixPath(unquote(urlsplit(item.location).path)).suffix.lower(), self.stage.suffixes
        if suffix not in known and SUFFIX.fullmatch(suffix):
            raise FetchError(Outcome.UNSUPPORTED, f"{item.location}: expected a file of {', '.join(sorted(known))}")
        # Without a suffix the file's bytes say what it is.
        path = folder / f"source{suffix if suffix in known else ''}"
        return path, self._copy_downloaded(item, path) or self._take_or_fetch(item, path)

    def _read_here(self, item: SourceObject, folder: Path) -> tuple[Path, str] | None:
        """Return a local item's path and digest, None for an item to be fetched. Raises FetchError."""
        path = Path(item.location)
        try:
            found = self.stage.read(item, folder)
        except (FileNotFoundError, NotADirectoryError):
            raise FetchError(Outcome.MISSING, f"{path.name}: expected in {path.parent}, got nothing there") from None
        except OSError as error:
            # Other errors are the disk's or the network share's and may pass.
            outcome = Outcome.FORBIDDEN if isinstance(error, PermissionError) else Outcome.LOST
            raise FetchError(outcome, f"{path.name}: expected to be readable, got: {error.strerror}") from None
        # The plan was made for the listed bytes: shard, split and copies follow from them.
        if found is not None and item.sha256 not in ("", found[1]):
            raise FetchError(Outcome.MODIFIED, f"{path.name}: changed since the {self.stage.wording.command} began")
        return found

    def _copy_downloaded(self, item: SourceObject, path: Path) -> str:
        """Copy the file from the `objaverse` package's downloads. Returns its digest, or "" without a sound file."""
        found = find_downloaded(item.location, self.objaverse.revision, self.objaverse.downloaded)
        # Another user's download, for example. Then the file is fetched as usual.
        if found is None or not os.access(found, os.R_OK):
            return ""
        shutil.copyfile(found, path)
        sha256 = sha256_file(path)
        try:
            check_glb(path, item.location)
        except FetchError:
            return ""
        return sha256 if item.sha256 in ("", sha256) else ""

    def _take_or_fetch(self, item: SourceObject, path: Path) -> str:
        cache = ModelCache(Path(self.fetch.cache).expanduser(), self.fetch.cache_mb << 20)
        if sha256 := cache.take(item.location, path, item.sha256):
            return sha256
        address = self._address(item)
        # With the slash: `https://hub.example.evil` starts with `https://hub.example` too.
        secret = token() if address.startswith(f"{self.hub}/") else ""
        fetched = fetch(address, path, self.fetch, self.gate, token=secret, sha256=item.sha256)
        # Under its location: an address has a new signature each time.
        cache.keep(item.location, path, fetched.sha256)
        return fetched.sha256

    def _address(self, item: SourceObject) -> str:
        """Where the item's file is asked for: with its signature, or on the mirror that HF_ENDPOINT names."""
        if item.source in HUB_SOURCES:
            return address_on(self.hub, item.location)
        return item.address or item.location
