"""The private copy of a model: Blender never gets the original files."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from render.formats.model_files import ModelFiles, Slice

MODEL_FOLDER = "model"
PIECE = 1 << 22


def stage_model(source: Path, files: ModelFiles, folder: Path) -> Path:
    """Copy a model and its files into the new `folder`, with the same places relative to each other.

    Returns the path of the model's copy. Raises OSError.
    """
    levels = max((_levels_up(name) for name in (*files.files, *files.texts)), default=0)
    # Deep enough that names with `../` stay inside the folder.
    home = folder.joinpath(*[MODEL_FOLDER] * levels)
    home.mkdir(parents=True)
    for name, path in files.files.items():
        if name not in files.texts:
            shutil.copyfile(path, _made(home, name))
    for name, text in files.texts.items():
        _made(home, name).write_bytes(text)
    copy = home / f"model{files.suffix}"
    if files.content is None:
        shutil.copyfile(source, copy)
    else:
        _write(copy, files.content)
    return copy


def _made(home: Path, name: str) -> Path:
    """Return the path of a file, after making its folder."""
    place = Path(os.path.normpath(home / name))
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _levels_up(name: str) -> int:
    """Return the largest number of folders above the model's that a name leads to."""
    level = highest = 0
    for part in PurePosixPath(name).parts:
        level += 1 if part == ".." else -1
        highest = max(highest, level)
    return highest


def _write(copy: Path, content: Sequence[bytes | Slice]) -> None:
    # `x`: a file of the model must not have taken the name already.
    with copy.open("xb") as stream:
        for part in content:
            if isinstance(part, bytes):
                stream.write(part)
                continue
            with part.path.open("rb") as source:
                source.seek(part.start)
                left = part.length
                while left and (piece := source.read(min(left, PIECE))):
                    left -= stream.write(piece)
