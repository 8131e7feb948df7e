"""Open a data set by the name of its loader."""

from collections.abc import Callable
from pathlib import Path

from base.errors import UsageError
from evaluation.datasets.base import DataSet
from evaluation.datasets.co3d import Co3d
from evaluation.datasets.esc30 import Esc30
from evaluation.datasets.gso import Gso
from evaluation.datasets.rtmv import Rtmv
from evaluation.datasets.sd30 import Sd30
from evaluation.datasets.shapenet import ShapeNet
from evaluation.datasets.shards import Shards
from evaluation.datasets.transforms import Transforms

LOADERS: dict[str, Callable[[Path], DataSet]] = {
    "sd30": Sd30,
    "esc30": Esc30,
    "transforms": Transforms,
    "gso": Gso,
    "rtmv": Rtmv,
    "co3d": Co3d,
    "shapenet": ShapeNet,
    "shards": Shards,
}


def open_dataset(loader: str, root: Path) -> DataSet:
    """Open the data set in a folder. Raises UsageError for a missing folder."""
    if not root.is_dir():
        raise UsageError(f"{root}: expected the folder of a data set, got no such folder")
    return LOADERS[loader](root)
