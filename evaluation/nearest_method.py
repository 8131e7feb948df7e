"""The nearest training view as a method of a benchmark, for a model's training data."""

from collections.abc import Set

import numpy as np
from numpy.typing import NDArray

from base.digest import digest_json
from base.errors import Failure
from base.progress import Progress
from base.storage import Storage
from evaluation.images.values import resize
from evaluation.methods import Task
from evaluation.nearest import TrainingViews, draw_objects, index_views
from evaluation.settings import EvaluateSettings
from shards.version import read_version

Pixels = NDArray[np.uint8]


class NearestTrainingView:
    """Answers with views of the training object that looks most like the first input (see evaluation.nearest)."""

    def __init__(self, training: TrainingViews) -> None:
        self.training = training

    def __call__(self, task: Task) -> list[Pixels]:
        """Return a view uint8 RGB (H, W, 3) of the protocol's size for each target."""
        views = task.truth.views
        targets = np.stack([views[target].cam_from_world for target in task.targets])
        found = self.training.answers(task.input_pixels, views[task.inputs[0]].cam_from_world, targets)
        return [resize(view, task.hw, "bicubic") for view in found]

    def settings(self) -> dict[str, str | int | float | bool]:
        """Return the training data as settings of a method: another choice of objects is another method."""
        chosen = digest_json([[entry.uid, shard.sha256] for shard, entry in self.training.entries])
        return {
            "training_version": self.training.version,
            "training_objects": len(self.training.entries),
            "training_views": len(self.training.small),
            "training_digest": chosen,
        }


def open_training_views(
    root: str, settings: EvaluateSettings, evaluated: Set[str], progress: Progress
) -> TrainingViews:
    """Read the training views of the dataset at `root`, without objects of the uids `evaluated`.

    Objects are drawn as `settings` say. Raises Failure for a folder without a dataset or without training objects.
    """
    storage = Storage(root, "evaluate.training_root")
    version = read_version(storage)
    found = index_views(storage, version, draw_objects(version, settings, evaluated), set(), progress)
    if found is None:
        raise Failure(f"{root}: expected training objects for the nearest view, got nothing")
    return found
