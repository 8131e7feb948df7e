"""Our model as a method of a benchmark."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from base.seeds import stable_seed
from evaluation.images.values import resize
from evaluation.methods import Task
from geometry.relative import polar_angle, pose_vector

if TYPE_CHECKING:
    from zero123.pipeline import Zero123Pipeline
    from zero123.settings import SamplingSettings

Pixels = NDArray[np.uint8]


class ModelMethod:
    """Samples the asked views from the first input. Pictures of another size than the model's are resized.

    The noise of a view depends on the seed, the object and the view alone.
    """

    def __init__(self, pipeline: "Zero123Pipeline", sampling: "SamplingSettings", seed: int) -> None:
        self.pipeline, self.sampling, self.seed = pipeline, sampling, seed

    def __call__(self, task: Task) -> list[Pixels]:
        """Return a view uint8 RGB (H, W, 3) of the protocol's size for each target."""
        views = task.truth.views
        source = views[task.inputs[0]].cam_from_world
        targets = np.stack([views[target].cam_from_world for target in task.targets])
        poses = pose_vector(np.broadcast_to(source, targets.shape), targets)
        adapted = self.pipeline.adapt_poses(poses, float(polar_angle(source)))
        seeds = [stable_seed(self.seed, "benchmark", task.truth.uid, target) for target in task.targets]
        made = self.pipeline.batches(
            resize(task.input_pixels, self.pipeline.hw, "bicubic"), adapted, seeds=seeds, sampling=self.sampling
        )
        return [resize(view, task.hw, "bicubic") for batch in made for view in batch]
