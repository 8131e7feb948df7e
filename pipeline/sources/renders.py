"""Objects rendered by others: a folder of views each, as in the released data of Zero-1-to-3."""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from base.digest import digest_json, sha256_file
from base.errors import UsageError
from base.parallel import map_in_threads
from base.progress import Progress
from base.text import replace_surrogates
from pipeline.catalog.objects import SourceObject, uid_of
from pipeline.sources.fact_tables import facts_by_name, table_in
from pipeline.sources.table import facts_of
from report.escape import inv_csv_cell
from shards.layouts import TRANSFORMS, layout_of
from shards.version import UID

VALID = "valid_paths.json"
FACTS = {"OBJECTS.csv": "path", "ATTRIBUTION.csv": "uid"}
"""Tables of licences and authors, with the column of the folder's name. The first that exists counts."""
SEEN = frozenset({".png", ".webp", ".npy"})
THREADS = 8


def rendered_objects(folder: Path, progress: Progress) -> list[SourceObject]:
    """Return an object for every folder named in valid_paths.json, or without that file for every folder.

    Raises UsageError for a folder without any, and for an unreadable valid_paths.json or table.
    """
    if not folder.is_dir():
        raise UsageError(f"objects.renders: expected a folder with a folder of views for each object, got {folder}")
    if layout_of(folder) is not None:
        raise UsageError(
            f"objects.renders: expected a folder of such folders, got the views of a single object: {folder}"
        )
    names = _names(folder, progress)
    facts = _facts(folder, names, progress)
    with progress.task("list", total=len(names), unit="folders") as task:
        objects = []
        # Digests wait for the disk, and hashing releases Python's lock.
        for item in map_in_threads(lambda name: _object(folder, name, facts.get(name, {})), names, THREADS):
            objects.append(item)
            task.advance(1, note=item.uid)
    return objects


def views_sha256(folder: Path) -> str:
    """Return the digest of the names and bytes of a folder's pictures and cameras; empty without any. Raises OSError.

    Other files, such as logs and timings, are not part of the object.
    """
    with os.scandir(folder) as entries:
        # `scandir` knows the kind of an entry without a question to the disk for each of a million files.
        names = [entry.name for entry in entries if _is_seen(entry.name) and entry.is_file()]
    return digest_json({name: sha256_file(folder / name) for name in names}, length=64) if names else ""


def _is_seen(name: str) -> bool:
    return Path(name).suffix.lower() in SEEN or name in TRANSFORMS


def _names(folder: Path, progress: Progress) -> list[str]:
    there = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    for name in (name for name in there if replace_surrogates(name) != name):
        progress.say(f"{folder}: {name!a} is left out: expected a name in UTF-8")
    there = [name for name in there if replace_surrogates(name) == name]
    if not (folder / VALID).exists():
        if not there:
            raise UsageError(f"objects.renders: expected a folder of views for each object in {folder}, got nothing")
        return there
    named = _valid_paths(folder / VALID)
    if others := len(set(there) - set(named)):
        progress.say(f"{folder / VALID}: {others} folders are not named there and are left out")
    return named


def _valid_paths(path: Path) -> list[str]:
    try:
        named = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: expected a JSON list of folders, got: {error}") from None
    if not isinstance(named, list) or not named or not all(_is_name(name) for name in named):
        raise UsageError(f"{path}: expected a JSON list of the names of folders beside it")
    return sorted(set(named))


def _is_name(name: object) -> bool:
    if not isinstance(name, str) or name[:1] in ("", ".") or "\0" in name:
        return False
    # The list comes with the data: `../other` must not be read.
    return Path(name).name == name and replace_surrogates(name) == name


def _facts(folder: Path, names: Sequence[str], progress: Progress) -> Mapping[str, dict[str, str]]:
    for name, key in FACTS.items():
        if (table := table_in(folder, name)) is not None:
            if key == "path":
                return facts_by_name(table, key, names, progress)
            # ATTRIBUTION.csv names in `source` where a build had its objects from, which is no page.
            rows = facts_by_name(table, key, names, progress, decode=inv_csv_cell)
            return {uid: {**row, "source": ""} for uid, row in rows.items()}
    return {}


def _object(folder: Path, name: str, facts: dict[str, str]) -> SourceObject:
    path = folder / name
    sha256 = ""
    with suppress(OSError):  # the worker meets the same error, and so this object ends
        sha256 = views_sha256(path) if path.is_dir() else ""
    return SourceObject(
        uid=name if UID.fullmatch(name) else uid_of(name, name),
        source="renders",
        location=str(path.absolute()),
        sha256=sha256,
        title=facts.get("title") or name.replace("_", " "),
        **facts_of(facts),
    )
