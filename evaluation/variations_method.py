"""Image Variations as a method of a benchmark: pictures with the input's content, without a camera."""

import numpy as np
from numpy.typing import NDArray

from base.seeds import stable_seed
from evaluation.images.values import resize
from evaluation.methods import Task
from zero123.image_variations import ImageVariations

Pixels = NDArray[np.uint8]


class VariationsMethod:
    """Answers each target with another variation of the first input. The noise depends on seed, object and target."""

    def __init__(self, model: ImageVariations, *, steps: int, guidance_scale: float, seed: int) -> None:
        self.model, self.steps, self.guidance_scale, self.seed = model, steps, guidance_scale, seed

    def __call__(self, task: Task) -> list[Pixels]:
        """Return a view uint8 RGB (H, W, 3) of the protocol's size for each target."""
        seeds = [stable_seed(self.seed, "image-variations", task.truth.uid, target) for target in task.targets]
        made = self.model.pictures(task.input_pixels, seeds, steps=self.steps, guidance_scale=self.guidance_scale)
        return [resize(view, task.hw, "bicubic") for view in made]
