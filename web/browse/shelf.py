"""What the page may browse: the folders that the command names, each with a name for clients."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from base.errors import UsageError
from web.errors import unknown

Kind = Literal["dataset", "evaluation", "run"]
MARKS: dict[Kind, tuple[str, ...]] = {
    "dataset": ("versions",),
    "run": ("checkpoints", "log.jsonl"),
    "evaluation": ("novel_views.json", "summary.json"),
}
"""What a folder of each kind has one of."""
MOST_CHILDREN = 500


@dataclass(frozen=True)
class Shelved:
    """A dataset, evaluation or training run: its name for clients, and its folder or URL."""

    name: str
    kind: Kind
    where: str


class Shelf:
    """The browsed folders by their names."""

    def __init__(self, entries: Sequence[Shelved] = ()) -> None:
        self.entries = tuple(entries)

    def get(self, name: str, kind: Kind) -> Shelved:
        """Find an entry of a kind. Raises Refused (404)."""
        for entry in self.entries:
            if (entry.name, entry.kind) == (name, kind):
                return entry
        raise unknown(kind)


def make_shelf(folders: Sequence[str]) -> Shelf:
    """Recognise folders, and URLs of datasets; a folder of such folders brings them all.

    Raises UsageError for a folder that is neither.
    """
    found: dict[str, Shelved] = {}
    for folder in folders:
        entries = [*_entries(folder)]
        if not entries:
            raise UsageError(
                f"--browse {folder}: expected a dataset, an evaluation, a training run, or a folder of such folders, "
                "got neither"
            )
        for title, kind, where in entries:
            name = _free_name(title, found)
            found[name] = Shelved(name, kind, where)
    return Shelf([*found.values()])


def _entries(folder: str) -> Iterator[tuple[str, Kind, str]]:
    if "://" in folder:
        yield folder.rstrip("/").rpartition("/")[2], "dataset", folder
        return
    path = Path(folder).absolute()
    if (kind := _kind(path)) is not None:
        yield path.name, kind, str(path)
        return
    children = sorted(path.iterdir())[:MOST_CHILDREN] if path.is_dir() else ()
    for child in children:
        if not child.name.startswith(".") and (kind := _kind(child)) is not None:
            yield f"{path.name}-{child.name}", kind, str(child)


def _kind(path: Path) -> Kind | None:
    return next((kind for kind, marks in MARKS.items() if any((path / mark).exists() for mark in marks)), None)


def _free_name(title: str, taken: dict[str, Shelved]) -> str:
    """Return a name of letters, digits, dots, `_` and `-`, numbered if it is taken."""
    base = re.sub(r"[^A-Za-z0-9_.-]+", "-", title).strip("-.")[:64] or "folder"
    number, name = 1, base
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name
