"""The folders for a model's files. Nothing outside them is read, whatever a model names."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

CACHED_REPOSITORY = re.compile(r"(models|datasets|spaces)--")


@dataclass(frozen=True)
class Root:
    """Files of a model may be below `folder`, and its pictures below `pictures`: the same folder or its parent."""

    folder: Path
    pictures: Path

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """Return the root of a folder of models: the folder itself."""
        absolute = absolute_path(folder)
        return cls(absolute, absolute)

    @classmethod
    def of_file(cls, model: Path) -> Self:
        """Return the root of a model on its own: its folder, and for pictures the parent of that folder.

        ShapeNet (`../images`) and Sketchfab (`../textures`) keep pictures beside the model's folder.
        """
        folder = absolute_path(model).parent
        # Not the root of the disk: a model in `/models` must not name pictures anywhere.
        return cls(folder, folder.parent if folder.parent != Path(folder.anchor) else folder)


def absolute_path(path: Path) -> Path:
    """Return a path from the root without `..`; links stay as they are."""
    return Path(os.path.normpath(path.absolute()))


def link_targets(folder: Path, root: Path) -> list[str]:
    """Return the real folders into which links among a model's files may lead.

    They are those of `folder` and of its parents up to `root`, and a whole repository where `folder` is a snapshot in
    the cache of the Hugging Face hub, since files of snapshots are links to `blobs`.
    """
    inner = [parent for parent in (folder, *folder.parents) if parent.is_relative_to(root)]
    # Parents count too: a texture in a sibling folder is reached over a common parent.
    real = [os.path.realpath(parent) for parent in inner]
    repositories = [repository for path in (folder, Path(real[0])) if (repository := _cached_repository(path))]
    return [*real, *map(os.path.realpath, repositories)]


def _cached_repository(folder: Path) -> Path | None:
    """Return the repository of the hub's cache with `folder` in a snapshot."""
    for parent in folder.parents:
        if parent.name == "snapshots" and CACHED_REPOSITORY.match(parent.parent.name):
            return parent.parent if (parent.parent / "blobs").is_dir() else None
    return None
