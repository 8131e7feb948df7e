"""Open a data set by the name of its loader."""

from collections.abc import Callable
from pathlib import Path

from base.errors import UsageError
from evaluation.datasets.base import DataSet
from evaluation.datasets.sd30 import Sd30

LOADERS: dict[str, Callable[[Path], DataSet]] = {"sd30": Sd30}


def open_dataset(loader: str, root: Path) -> DataSet:
    """Open the data set in a folder. Raises UsageError for a missing folder."""
    if not root.is_dir():
        raise UsageError(f"{root}: expected the folder of a data set, got no such folder")
    return LOADERS[loader](root)
