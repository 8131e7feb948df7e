"""The answers compared with the truth: the model's views and the baselines."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from base.seeds import stable_seed
from evaluation.baselines import mean_view, on_white, white_view
from evaluation.nearest import TrainingViews
from evaluation.settings import EvaluateSettings
from geometry.relative import polar_angle, pose_vector
from shards.sample import Sample

if TYPE_CHECKING:
    from zero123.pipeline import Zero123Pipeline

Image = NDArray[np.uint8]


def collect_answers(
    pipeline: "Zero123Pipeline",
    training: TrainingViews | None,
    sample: Sample,
    source: int,
    targets: tuple[int, ...],
    settings: EvaluateSettings,
) -> list[dict[str, Image]]:
    """Collect, for each target view, every answer to "how does the object look from there, given view `source`".

    Answers are RGB (H, W, 3): `model`; `input`, the source view unchanged; `white`; `mean_view`, the mean of the
    object's good views without the held-out views; and, if `training` is given, `training_mean` and `nearest_view`.
    """
    seen, cameras = sample.image(source), sample.extrinsics
    # The held-out views stay out, or this baseline would contain the answers.
    own = [sample.image(view) for view in sample.good_views if view < len(cameras) - settings.held_out_views]
    # These ignore the target's camera, so all targets share them.
    same = {"input": on_white(seen), "white": white_view((seen.shape[0], seen.shape[1])), "mean_view": mean_view(own)}
    found = [{"model": picture, **same} for picture in _sample_model(pipeline, sample, source, targets, settings)]
    if training:
        nearest = training.answers(seen, cameras[source], cameras[list(targets)])
        found = [
            {**others, "training_mean": training.mean, "nearest_view": view}
            for others, view in zip(found, nearest, strict=True)
        ]
    return found


def _sample_model(
    pipeline: "Zero123Pipeline", sample: Sample, source: int, targets: tuple[int, ...], settings: EvaluateSettings
) -> NDArray[np.uint8]:
    cameras = sample.extrinsics
    poses = pose_vector(np.broadcast_to(cameras[source], (len(targets), 3, 4)), cameras[list(targets)])
    # A seed for each pair keeps its noise the same, whichever other pairs are evaluated.
    seeds = [stable_seed(settings.seed, "evaluate-noise", sample.uid, source, target) for target in targets]
    return np.asarray(
        pipeline.views(
            sample.image(source),
            pipeline.adapt_poses(poses, float(polar_angle(cameras[source]))),
            guidance_scale=settings.guidance_scale,
            steps=settings.steps,
            eta=settings.eta,
            seeds=seeds,
        )
    )
