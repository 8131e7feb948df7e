"""What the check of a model finds, in the short form of tests."""

from pathlib import Path

from render.formats.registry import model_files
from render.formats.roots import Root


def companions(path: Path, root: Root | None = None) -> list[str]:
    """The names of the other files that a model needs."""
    return list(model_files(path, root).files)
