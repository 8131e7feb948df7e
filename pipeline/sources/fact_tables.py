"""Find the table of licences and authors beside a source's objects, and match its rows to them."""

import posixpath
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from base.errors import UsageError
from base.progress import Progress
from pipeline.sources.table import index_rows

NAMED = 5
"""The most rows named that match no object."""
Facts = dict[str, str]


def table_in(folder: Path, name: str) -> Path | None:
    """Return the table called `name` in a folder, in any letter case; None without it. Raises UsageError for two."""
    # A file named `objects.csv` and ignored would leave every object without a licence.
    found = sorted(path for path in folder.iterdir() if path.name.casefold() == name.casefold())
    if len(found) > 1:
        raise UsageError(f"{folder}: expected one {name}, got {' and '.join(path.name for path in found)}")
    return found[0] if found else None


def facts_by_name(
    table: Path, key: str, names: Sequence[str], progress: Progress, *, decode: Callable[[str], str] = str
) -> dict[str, Facts]:
    """Return the rows of a table by object name. `names` are paths relative to the table's folder, and `key` the column
    with them.

    A row matches the object of exactly its name, or else of its name up to slashes, letter case and `./`. Other rows
    are counted and some named. `decode` undoes the encoding of written cells.

    Raises UsageError as `index_rows` does, for two rows of an object, and for a row with several matches. It also
    refuses a table without any match: its objects would count as having no licence.
    """
    rows, alike = index_rows(table, key), _by_spelling(names)
    found, exact, others = dict[str, Facts](), set(names), list[str]()
    for written, row in rows.items():
        name = decode(written)
        # The exact name first: on Linux `a.glb` and `A.glb` are two objects.
        meant = [name] if name in exact else alike.get(_spelling(_inside(name, table.parent)), [])
        if len(meant) > 1:
            raise UsageError(f"{table}: expected the `{key}` of an object, got {name!r} for {' and '.join(meant)}")
        if not meant:
            others.append(name)
        elif found.setdefault(meant[0], facts := {fact: decode(cell) for fact, cell in row.items()}) is not facts:
            raise UsageError(f"{table}: expected every `{key}` once, got {meant[0]!r} twice")
    if rows and not found:
        raise UsageError(f"{table}: expected the `{key}` of objects in {table.parent}, got nothing: {_some(others)}")
    if others:
        progress.say(f"{table}: {len(others)} rows are of no object that is there: {_some(others)}")
    return found


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(name[:80] for name in sorted(names)[:NAMED]) + more


def _by_spelling(names: Iterable[str]) -> Mapping[str, list[str]]:
    alike = dict[str, list[str]]()
    for name in names:
        alike.setdefault(_spelling(name), []).append(name)
    return alike


def _spelling(name: str) -> str:
    """Return a text shared by all spellings of a path."""
    # macOS writes names decomposed, Windows with backslashes.
    composed = unicodedata.normalize("NFC", name).strip().replace("\\", "/")
    return posixpath.normpath(composed).casefold()


def _inside(name: str, folder: Path) -> str:
    return name.strip().removeprefix(f"{folder.absolute()}/")
