"""Objects from Objaverse, or with digests from the Sketchfab part of Objaverse-XL."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from base.errors import UsageError
from base.progress import Progress
from base.seeds import stable_rng
from base.text import replace_surrogates
from pipeline.catalog.locations import OBJAVERSE, PUBLIC_HUB
from pipeline.catalog.objects import SourceObject, count_of, uid_of
from pipeline.settings import FetchSettings, ObjaverseSettings
from pipeline.sources.hub import file_url
from pipeline.sources.indexes import Indexes
from shards.version import UID


def objaverse_objects(
    settings: ObjaverseSettings,
    fetching: FetchSettings,
    progress: Progress,
    source: Literal["objaverse", "objaverse-xl"] = "objaverse",
) -> list[SourceObject]:
    """Return the chosen objects with their annotations, sorted by uid.

    With `objaverse-xl`, each has the expected SHA-256 of its file. A requested uid outside the index has no location,
    and the worker ends it as `missing`. Raises UsageError for unknown categories, and for unknown uids if `unlisted` is
    `refuse` or no object is known. Raises Failure for an index that cannot be fetched or read.
    """
    indexes = Indexes(settings, fetching)
    paths = _usable(indexes.paths(), progress)
    category = _categories(settings, indexes)
    # A set: the same uid may be given twice.
    named = {*settings.uids, *_lines(settings.uid_file)}
    candidates = named | set(category) if named or settings.lvis else set(paths)
    sha256 = indexes.sha256(candidates) if source == "objaverse-xl" else {}
    # An object of Objaverse-XL without a digest could not be checked, so it counts as unknown.
    known = sha256.keys() & paths.keys() if source == "objaverse-xl" else paths.keys()
    unlisted = sorted(named - known)
    _check_unlisted(unlisted, len(named), settings, source, progress, is_any_known=bool(candidates & known))
    candidates = candidates - set(unlisted)
    if unknown := len(candidates - known):
        progress.say(f"{NAMES[source]}: {unknown} of {len(candidates)} objects are not in its index and are left out")
    # Sorted, because the draw is by position and sets have no order.
    uids = _draw(sorted(candidates & known), settings)
    objects = [
        _object(
            uid,
            notes,
            source=source,
            location=file_url(OBJAVERSE, settings.revision, paths[uid], PUBLIC_HUB),
            sha256=sha256.get(uid, ""),
            category=category.get(uid, ""),
        )
        for uid, notes in _with_notes(uids, paths, indexes)
    ]
    # A sample is drawn of what the index has: a uid that was not drawn needs no row.
    missing = [_unlisted_object(uid, source) for uid in unlisted] if not settings.sample else []
    return sorted([*objects, *missing], key=lambda item: item.uid)


def _check_unlisted(
    uids: list[str],
    named: int,
    settings: ObjaverseSettings,
    source: str,
    progress: Progress,
    *,
    is_any_known: bool,
) -> None:
    """Report requested uids outside the index. Raises UsageError if they end the build."""
    if not uids:
        return
    if settings.unlisted == "refuse" or not is_any_known:
        got = f"{len(uids)} of {named} that are not in its index"
        raise UsageError(f"objects.objaverse: expected uids of {NAMES[source]}, got {got}: {_some(uids)}")
    end = "are left out" if settings.sample else "end as `missing`"
    progress.say(f"{NAMES[source]}: {len(uids)} of {named} uids are not in its index and {end}: {_some(uids)}")


def _unlisted_object(name: str, source: str) -> SourceObject:
    uid = name if UID.fullmatch(name) else uid_of(name, replace_surrogates(name))
    return SourceObject(uid=uid, source=source, location="", title=replace_surrogates(name))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(ascii(name)[1:-1][:80] for name in names[:NAMED]) + more


PATH = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]*/)+[A-Za-z0-9_-][A-Za-z0-9._-]*")
NAMED = 5
"""The most unknown uids or categories named."""
NAMES = {"objaverse": "Objaverse", "objaverse-xl": "Objaverse-XL's Sketchfab part"}


def _usable(paths: Mapping[str, str], progress: Progress) -> Mapping[str, str]:
    """Return the objects with a valid uid and path. The index may contain anything."""
    usable = {uid: path for uid, path in paths.items() if UID.fullmatch(uid) and PATH.fullmatch(path)}
    if others := len(paths) - len(usable):
        progress.say(f"Objaverse: {others} of {len(paths)} objects have no usable uid and path and are left out")
    return usable


def _with_notes(uids: list[str], paths: Mapping[str, str], indexes: Indexes) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each of `uids` with its annotations, holding a single part of them at a time."""
    parts: dict[str, list[str]] = {}
    for uid in uids:
        parts.setdefault(Path(paths[uid]).parent.name, []).append(uid)
    # By file of annotations, so that each of the 160 is read once.
    for part in sorted(parts):
        notes = indexes.annotations(part)
        for uid in parts[part]:
            note = notes.get(uid)
            yield uid, note if isinstance(note, dict) else {}


def _categories(settings: ObjaverseSettings, indexes: Indexes) -> dict[str, str]:
    """Return the first requested LVIS category of each object."""
    if not settings.lvis:
        return {}
    members = indexes.lvis()
    found: dict[str, str] = {}
    if unknown := sorted(set(settings.lvis) - set(members)):
        got = f"{len(unknown)} of {len(settings.lvis)} that are none: {_some(unknown)}"
        raise UsageError(f"objects.objaverse.lvis: expected LVIS categories, got {got}")
    for category in settings.lvis:
        for uid in members[category]:
            # The order of the request decides: a sample has a single category.
            found.setdefault(uid, category)
    return found


def _draw(uids: list[str], settings: ObjaverseSettings) -> list[str]:
    """Return the requested random sample of `uids`, or all of them."""
    if not 0 < settings.sample < len(uids):
        return uids
    drawn = stable_rng(settings.seed, "objaverse sample").permutation(len(uids))[: settings.sample]
    return sorted(uids[index] for index in drawn)


def _lines(uid_file: str) -> Iterable[str]:
    if not uid_file:
        return []
    try:
        text = Path(uid_file).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"objects.objaverse.uid_file: expected a text file with a uid per line, got: {error}"
        ) from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def _object(uid: str, notes: Mapping[str, Any], *, category: str, **known: str) -> SourceObject:
    user = notes.get("user")
    return SourceObject(
        uid=uid,
        **known,
        licence=_text(notes.get("license")),
        author=_text(user.get("displayName") or user.get("username")) if isinstance(user, dict) else "",
        title=_text(notes.get("name")),
        page=_text(notes.get("viewerUrl")),
        category=category or next(iter(_names(notes.get("categories"))), ""),
        tags=" ".join(_names(notes.get("tags"))),
        faces=count_of(notes.get("faceCount")),
        vertices=count_of(notes.get("vertexCount")),
        animations=count_of(notes.get("animationCount")),
        likes=count_of(notes.get("likeCount")),
    )


def _names(value: Any) -> list[str]:
    return [_text(one.get("name")) for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return replace_surrogates(str(value or ""))
