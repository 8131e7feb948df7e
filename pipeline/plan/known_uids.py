"""Keep the uids that a dataset knows, and refuse two objects with the same uid."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from base.errors import UsageError
from pipeline.catalog.columns import CHUNK, Columns, Indices, indices_in
from pipeline.catalog.objects import UID_DIGITS, SourceObject, identity_digits, short_uid
from pipeline.catalog.tables import OBJECTS, Catalog
from pipeline.plan.catalog_join import Mask

SHORT_ROWS = "select uid, location from rows where source in ('folder', 'renders', 'urls') and uid ~ '_[0-9a-f]{8}$'"


@dataclass(frozen=True, slots=True)
class _ShortRow:
    """An object that an earlier release gave a uid of 8 digits."""

    uid: str
    location: str


def check_unique(requested: Columns[SourceObject]) -> None:
    """Raise UsageError for two objects with the same uid, naming both: they would share cameras, samples and a row."""
    others = requested.overruled_records().slice(0, 1).to_pylist()
    for other in others:
        same = requested[other["uid"]]
        raise UsageError(
            f"objects.{same.source.partition('-')[0]}: expected a uid of its own for every object, got {same.uid} for "
            f"{other['location']} and {same.location}; rename either of them"
        )


def keep_known_uids(requested: Columns[SourceObject], catalog: Catalog) -> Columns[SourceObject]:
    """Return the same objects, with the short uid where the catalogue has the object under it.

    An object is recognised by its address or its path below the source's folder, so a folder that moved keeps its uids.
    If two objects would share a short uid, the object of the row keeps it.
    """
    known = Columns.from_tables(_ShortRow, catalog.parts(OBJECTS, SHORT_ROWS))
    if not len(known):
        return requested
    shortened = np.array([short_uid(uid) for uid in requested], np.bytes_)
    rows = known.indices(shortened)
    # A short uid that another object of the source has as its whole name is taken.
    rows[indices_in(requested.uids, shortened) >= 0] = -1
    keep = np.flatnonzero(rows >= 0)
    keep = keep[_are_same(requested, known, keep, rows[keep])]
    # A copy, because other columns may share the array.
    uids = requested.uids.copy()
    uids[keep] = shortened[keep]
    return requested.with_uids(uids)


def _are_same(requested: Columns[SourceObject], known: Columns[_ShortRow], indices: Indices, rows: Indices) -> Mask:
    """True where the object at an index of `requested` is the object of the row beside it."""
    same = np.zeros(len(indices), bool)
    for start in range(0, len(indices), CHUNK):
        part = slice(start, start + CHUNK)
        records = zip(requested.records(indices[part]), known.records(rows[part]), strict=True)
        same[part] = [
            # The row knows only the whole path, so each of its ends is tried as the path below the folder.
            item.location == row.location or item.uid[-UID_DIGITS:] in map(identity_digits, _ends(row.location))
            for item, row in records
        ]
    return same


def _ends(location: str) -> Iterator[str]:
    """Yield the possible paths of a location below a source's folder."""
    parts = PurePosixPath(location).parts
    return ("/".join(parts[start:]) for start in range(len(parts) - 1, 0, -1))
