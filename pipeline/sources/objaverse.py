"""Objects from Objaverse: the `objaverse` package says what there is, our own transport fetches it.

The package's indexes live in `cache`, in its own layout; an index that is missing there is fetched first, whole or not
at all, so the package itself never opens a connection. HF_ENDPOINT and HF_TOKEN are obeyed.
"""

import gzip
import json
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from base.errors import Failure, UsageError
from base.seeds import stable_rng
from base.storage import write_atomically
from pipeline.fetch import FetchError, fetch
from pipeline.limiter import Buckets
from pipeline.objects import UNKNOWN, SourceObject
from pipeline.settings import FetchSettings, ObjaverseSettings
from shards.sample import UID

REPOSITORY = "datasets/allenai/objaverse"
PATHS_INDEX, LVIS_INDEX = "object-paths.json.gz", "lvis-annotations.json.gz"


def objaverse_objects(settings: ObjaverseSettings, fetching: FetchSettings) -> list[SourceObject]:
    """The objects that the settings choose, with what Objaverse knows of each.

    Raises UsageError for an unknown category or uid, Failure when an index cannot be had or read.
    """
    indexes = _Indexes(settings, fetching)
    paths = indexes.paths()
    uids = _chosen(settings, paths, indexes)
    notes = indexes.annotations(uids, paths)
    category = indexes.categories() if settings.lvis else {}
    return [_object(uid, paths[uid], notes.get(uid, {}), category.get(uid, ""), settings.revision) for uid in uids]


def endpoint() -> str:
    """The hub's address: HF_ENDPOINT, else the public one."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


def token() -> str:
    """The hub's token from HF_TOKEN, empty without one; never stored or logged."""
    return os.environ.get("HF_TOKEN", "")


def file_url(path: str, revision: str) -> str:
    """The address of a file of the Objaverse repository."""
    return f"{endpoint()}/{REPOSITORY}/resolve/{revision}/{path}"


def downloaded_file(location: str, revision: str, folder: str) -> Path | None:
    """Where the `objaverse` package would have put the file of an address; None when it has not, or of another address.

    The package names no revision: what it has counts as `main`.
    """
    prefix = file_url("", revision)
    name = location.removeprefix(prefix)
    if not folder or revision != "main" or name == location or ".." in name.split("/"):
        return None
    path = Path(folder).expanduser() / name
    return path if path.is_file() else None


class _Indexes:
    """The package's indexes, fetched when they are first needed."""

    def __init__(self, settings: ObjaverseSettings, fetching: FetchSettings) -> None:
        self.settings, self.fetching = settings, fetching
        self.folder = Path(settings.cache).expanduser() / settings.revision
        self.gate = Buckets(fetching.requests, fetching.window_s)

    def package(self, *needed: str) -> Any:
        """The `objaverse` package, reading from our cache, where the `needed` files are."""
        import objaverse

        for name in needed:
            self._have(name)
        objaverse._VERSIONED_PATH = str(self.folder)
        return objaverse

    def paths(self) -> dict[str, str]:
        """The path of every object in the repository, by uid."""
        paths: dict[str, str] = self.package(PATHS_INDEX)._load_object_paths()
        return paths

    def categories(self) -> dict[str, str]:
        """The LVIS category of every object that has one, by uid."""
        by_category: dict[str, list[str]] = self.package(LVIS_INDEX).load_lvis_annotations()
        return {uid: category for category, uids in by_category.items() for uid in uids}

    def annotations(self, uids: list[str], paths: dict[str, str]) -> dict[str, Any]:
        """What the repository knows of each of `uids`."""
        needed = sorted({f"metadata/{Path(paths[uid]).parent.name}.json.gz" for uid in uids})
        notes: dict[str, Any] = self.package(PATHS_INDEX, *needed).load_annotations(uids) if uids else {}
        return notes

    def _have(self, name: str) -> None:
        path = self.folder / name
        if path.exists() or self._downloaded(name, path):
            return
        try:
            fetch(file_url(name, self.settings.revision), path, self.fetching, self.gate, token=token())
            with gzip.open(path, "rb") as stream:
                json.load(stream)
        except FetchError as error:
            raise Failure(f"Objaverse's index {name} cannot be had: {error.reason}") from None
        except (OSError, EOFError, ValueError) as error:
            path.unlink(missing_ok=True)
            raise Failure(f"Objaverse's index {name}: expected gzipped JSON, got: {error}") from None

    def _downloaded(self, name: str, target: Path) -> bool:
        """Take an index from where the package itself keeps it; one that is damaged is left to be fetched."""
        source = downloaded_file(
            file_url(name, self.settings.revision), self.settings.revision, self.settings.downloaded
        )
        if source is None:
            return False
        try:
            data = source.read_bytes()
            json.loads(gzip.decompress(data))
        except (OSError, EOFError, ValueError, zlib.error):
            return False
        write_atomically(target, data)
        return True


def _chosen(settings: ObjaverseSettings, paths: dict[str, str], indexes: _Indexes) -> list[str]:
    named = [*settings.uids, *_lines(settings.uid_file)]
    if settings.lvis:
        known = indexes.categories()
        for category in sorted(set(settings.lvis) - set(known.values())):
            raise UsageError(f"objects.objaverse.lvis: expected an LVIS category, got {category!r}")
        named += [uid for uid, category in known.items() if category in settings.lvis]
    chosen = sorted(set(named)) if named or settings.lvis else sorted(paths)
    for uid in chosen:
        if uid not in paths or not UID.fullmatch(uid):
            raise UsageError(f"objects.objaverse: expected uids of Objaverse, got {uid!r}")
    if 0 < settings.sample < len(chosen):
        drawn = stable_rng(settings.seed, "objaverse sample").permutation(len(chosen))[: settings.sample]
        chosen = sorted(chosen[index] for index in drawn)
    return chosen


def _lines(uid_file: str) -> Iterable[str]:
    if not uid_file:
        return []
    try:
        text = Path(uid_file).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"objects.objaverse.uid_file: expected a text file with one uid a line, got: {error}"
        ) from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def _object(uid: str, path: str, notes: dict[str, Any], category: str, revision: str) -> SourceObject:
    user = notes.get("user")
    named = [str(item.get("name", "")) for item in notes.get("categories") or [] if isinstance(item, dict)]
    return SourceObject(
        uid=uid,
        source="objaverse",
        location=file_url(path, revision),
        licence=str(notes.get("license") or ""),
        author=str(user.get("displayName") or user.get("username") or "") if isinstance(user, dict) else "",
        title=str(notes.get("name") or ""),
        page=str(notes.get("viewerUrl") or ""),
        category=category or next(iter(named), ""),
        tags=" ".join(str(tag.get("name", "")) for tag in notes.get("tags") or [] if isinstance(tag, dict)),
        faces=_count(notes.get("faceCount")),
        vertices=_count(notes.get("vertexCount")),
        animations=_count(notes.get("animationCount")),
        likes=_count(notes.get("likeCount")),
    )


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value >= 0 else UNKNOWN
