"""Find the model files below a folder, through links to other folders too, each folder once."""

import os
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from base.errors import UsageError
from base.progress import Progress
from base.storage import reason
from base.text import replace_surrogates
from render.formats.registry import CHECKS

MODEL_SUFFIXES = frozenset(
    {
        *(".glb", ".gltf", ".vrm", ".obj", ".stl", ".ply", ".fbx", ".usd", ".usda", ".usdc", ".usdz", ".dae", ".blend"),
        ".abc",
    }
)
"""Suffixes of model files. The renderer decides whether it can render them."""


def find_models(folder: Path, progress: Progress, *, passed_over: str = "") -> list[str]:
    """Return the sorted paths of all model files below `folder`, relative to it, without hidden files and folders.

    Whatever is left out is reported: other files except `passed_over`, names outside UTF-8, dead links, and links to a
    folder already listed or above this one. Raises UsageError for a folder that is unreadable or without models.
    """
    names, others = list[str](), Counter[str]()
    for name in _Walk(folder, progress).files():
        path = Path(name)
        if path.suffix.lower() in MODEL_SUFFIXES and not path.name.startswith("."):
            if problem := _problem(folder / name):
                progress.say(f"{path_text(folder)}: {name!a} is left out: {problem}")
            else:
                names.append(name)
        elif name.casefold() != passed_over.casefold():
            others[path.suffix.lower() or path.name] += 1
    if not names:
        kinds = ", ".join(sorted(CHECKS))
        raise UsageError(f"expected models ({kinds}) in {path_text(folder)}, got {others.total()} other files")
    if others:
        kinds = ", ".join(f"{count} {replace_surrogates(kind)}" for kind, count in sorted(others.items()))
        progress.say(f"{path_text(folder)}: {len(names)} models; other files are left out: {kinds}")
    return sorted(names)


def path_text(path: Path) -> str:
    """Return a path as text for people, with bytes outside UTF-8 replaced."""
    return replace_surrogates(str(path))


class _Walk:
    """List files, through real folders first and then through links, so that a link never takes a folder's own name."""

    def __init__(self, root: Path, progress: Progress) -> None:
        self.root, self.progress = root, progress
        self.links, self.listed = deque[Path](), dict[tuple[int, int], Path]()

    def files(self) -> Iterator[str]:
        """Yield the paths of all files, relative to the root."""
        yield from self._below(self.root)
        while self.links:
            link = self.links.popleft()
            if problem := self._problem_of(link):
                self.progress.say(
                    f"{path_text(self.root)}: {str(link.relative_to(self.root))!a} is left out: {problem}"
                )
            else:
                yield from self._below(link)

    def _below(self, top: Path) -> Iterator[str]:
        # os.walk would skip an unreadable folder silently, and its objects would count as removed.
        for parent, folders, files in os.walk(top, onerror=_unreadable):
            self.listed.setdefault(_identity(Path(parent)), Path(parent))
            inner = [Path(parent, name) for name in sorted(folders) if not name.startswith(".")]
            self.links.extend(path for path in inner if path.is_symlink())
            # Changed itself: os.walk descends into the folders left in this list.
            folders[:] = [path.name for path in inner if not path.is_symlink() and _identity(path) not in self.listed]
            yield from ((Path(parent) / name).relative_to(self.root).as_posix() for name in files)

    def _problem_of(self, link: Path) -> str:
        """Return why a link to a folder is not followed; empty if it is."""
        if (listed := self.listed.get(_identity(link))) is not None:
            name = "this folder itself" if listed == self.root else f"{str(listed.relative_to(self.root))!a}"
            return f"it leads to {name}, which is listed already"
        # Following it would list this folder again, inside itself and without end.
        if self.root.resolve().is_relative_to(link.resolve()):
            return "it leads to a parent of this folder"
        return ""


def _identity(folder: Path) -> tuple[int, int]:
    try:
        facts = folder.stat()
    except OSError as error:
        _unreadable(error)
    # Not the path: a bind mount or a link shows the same folder under several.
    return facts.st_dev, facts.st_ino


def _problem(path: Path) -> str:
    """Return why a file with a model's name cannot be a model; empty if it can."""
    with suppress(PermissionError):  # its object ends so
        if not path.is_file():
            return "expected a file, got a link to nothing or something that is no file"
    return "" if replace_surrogates(str(path)) == str(path) else "expected a name in UTF-8"


def _unreadable(error: OSError) -> NoReturn:
    raise UsageError(f"expected a readable folder, got {replace_surrogates(str(error.filename))}: {reason(error)}")
