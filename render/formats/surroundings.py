"""Find the files of a model: at the named place, or at the usual places of such files.

Names come from other machines, with backslashes, another letter case, absolute paths or the layout before packing. A
file is only taken from below the source's root.
"""

import os
import posixpath
import re
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

from render.formats.refused import unsupported
from render.formats.roots import Root, absolute_path, link_targets
from render.formats.suffixes import MODEL_SUFFIXES
from render.references import fold_name, use_slashes

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
DRIVE = re.compile(r"[A-Za-z]:")
PICTURE_FOLDER = re.compile(
    r"(.*[ _.-])?(textures?|tex|maps?|images?|img|materials?|mats?|bitmaps?|pictures?|fbm)", re.IGNORECASE
)
MAX_DEPTH, MAX_LEVELS_UP = 3, 2
MAX_ENTRIES = 50_000
"""The most entries of folders to look at for a model."""


class Entry(NamedTuple):
    """A file or folder by its name as it is on disk."""

    name: str
    is_folder: bool


class Surroundings:
    """The folders around the model at `path`, below `root`; without one, its own folder.

    Returned names are relative to the model's folder.
    """

    def __init__(self, path: Path, root: Root | None = None) -> None:
        self.folder = absolute_path(path).parent
        root = root or Root.of_folder(self.folder)
        self._roots = {True: str(root.pictures), False: str(root.folder)}
        self._targets = link_targets(self.folder, root.pictures)
        self._entries_left = MAX_ENTRIES
        # Network shares answer slowly, and models name dozens of pictures.
        self._listing = cache(self._read_listing)

    def path(self, name: str) -> Path:
        """Return the path of a found file."""
        return Path(os.path.normpath(self.folder / name))

    def find(self, name: str, *, beside: str = "", picture: bool = True) -> str | None:
        """Return the file meant by `name` in the folder `beside`; None without such a file below the root."""
        bare = use_slashes(name)
        if not bare or "\0" in bare or ADDRESS.match(bare):
            return None
        if not is_absolute(bare):
            for place in dict.fromkeys((posixpath.join(beside, bare), bare)):
                if self.is_file(place, picture=picture):
                    return place
        return self._in_other_case(bare, beside, picture=picture) or self._by_name(bare, picture=picture)

    def require(self, name: str, *, beside: str = "", picture: bool = True) -> str | None:
        """Return what `find` does. Raises Refused for an address, and for a file outside the root."""
        found, bare = self.find(name, beside=beside, picture=picture), use_slashes(name)
        if found is None and (ADDRESS.match(bare) or "\0" in bare):
            raise unsupported(f"expected files beside the model, got the address {bare[:80]!r}; nothing is fetched")
        if found is None and not self._is_inside(posixpath.join(beside, bare), picture=picture):
            raise unsupported(f"expected files beside the model, got {bare[:80]!r}, which leaves its folder")
        return found

    def is_file(self, place: str, *, picture: bool = True) -> bool:
        """True for a readable file below the root at `place`."""
        try:
            return self._is_inside(place, picture=picture) and self.path(place).is_file()
        except (OSError, ValueError):
            return False

    def _is_inside(self, place: str, *, picture: bool) -> bool:
        path = os.path.normpath(self.folder / place)
        # Both the written path and the real one: a link may lead out of the root.
        return _is_below(path, self._roots[picture]) and any(
            _is_below(os.path.realpath(path), target) for target in self._targets
        )

    def _in_other_case(self, bare: str, beside: str, *, picture: bool) -> str | None:
        """The file at the named place or at the end of the named path, in any letter case."""
        parts = [part for part in DRIVE.sub("", bare, count=1).split("/") if part not in ("", ".")]
        tails = [parts[start:] for start in range(len(parts))] if is_absolute(bare) else [parts]
        for start in dict.fromkeys((beside, "")):
            for tail in tails:
                found = self._walked(start, tail)
                if found is not None and self.is_file(found, picture=picture):
                    return found
        return None

    def _walked(self, start: str, parts: list[str]) -> str | None:
        place = start
        for part in parts:
            if part == "..":
                place = posixpath.normpath(posixpath.join(place, ".."))
            elif (entry := self._listing(place).get(fold_name(part))) is not None:
                place = posixpath.join(place, entry.name)
            else:
                return None
        return place

    def _by_name(self, bare: str, *, picture: bool) -> str | None:
        """The nearest file of the same name in the usual folders of pictures."""
        name = fold_name(bare.rpartition("/")[2])
        for place in self._picture_folders if picture else [""]:
            entry = self._listing(place).get(name)
            if entry is not None and self.is_file(found := posixpath.join(place, entry.name), picture=picture):
                return found
        return None

    @cached_property
    def _picture_folders(self) -> list[str]:
        """The model's folder, picture folders below it, other folders without models, and picture folders above."""
        ours = sum(Path(entry.name).suffix.lower() in MODEL_SUFFIXES for entry in self._listing("").values())
        below = self._below("", only_for_pictures=ours > 1, depth=MAX_DEPTH)
        above = [
            place
            for level in range(1, MAX_LEVELS_UP + 1)
            for place in self._below("/".join([".."] * level), only_for_pictures=True, depth=MAX_DEPTH)
        ]
        return ["", *below, *above]

    def _below(self, start: str, *, only_for_pictures: bool, depth: int) -> Iterator[str]:
        names = sorted(entry.name for entry in self._listing(start).values() if entry.is_folder)
        for name in sorted(names, key=lambda name: not PICTURE_FOLDER.fullmatch(name)):
            place = posixpath.join(start, name)
            if PICTURE_FOLDER.fullmatch(name) or not (only_for_pictures or self._has_models(place)):
                yield place
                yield from self._below(place, only_for_pictures=False, depth=depth - 1) if depth > 1 else ()

    def _has_models(self, place: str) -> bool:
        return any(Path(entry.name).suffix.lower() in MODEL_SUFFIXES for entry in self._listing(place).values())

    def _read_listing(self, place: str) -> dict[str, Entry]:
        """What is in a folder, by name without letter case; nothing when it is outside or cannot be listed."""
        if not self._is_inside(place, picture=True):
            return {}
        try:
            with os.scandir(self.path(place)) as entries:
                found = sorted((entry.name, entry.is_dir()) for entry in entries)
        except OSError:
            return {}
        # A source may hold millions of files: beyond the limit, folders count as empty.
        self._entries_left -= len(found)
        return {fold_name(name): Entry(name, is_folder) for name, is_folder in found} if self._entries_left > 0 else {}


def is_absolute(name: str) -> bool:
    """True for a path from the root of a file system or of a drive."""
    return name.startswith("/") or DRIVE.match(name) is not None


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
