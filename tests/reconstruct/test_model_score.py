"""The score of a real pipeline, untrained and small: what it is asked and what comes back."""

import numpy as np
import pytest
import torch

from base.progress import SILENT
from geometry.relative import pose_vector
from reconstruct.optimise import reconstruct
from reconstruct.sjc import ModelScore
from reconstruct.viewpoints import draw_viewpoints
from tests.reconstruct.scenes import small_settings, sphere_rgba
from zero123.pipeline import Zero123Pipeline

HW = (32, 32)


@pytest.mark.parametrize(("space", "gradient"), [("latents", "sjc"), ("image", "sjc"), ("latents", "sds")])
def test_the_score_reaches_the_picture(pipeline: Zero123Pipeline, space: str, gradient: str) -> None:
    cameras = draw_viewpoints(0, 3, (1.5, 2.2))
    settings = small_settings().score.model_copy(update={"space": space, "gradient": gradient, "draws": 2})
    condition = pipeline.condition(sphere_rgba(cameras[0], HW)[None], pose_vector(cameras[0], cameras))
    score = ModelScore(pipeline, condition, settings)
    gradients = []
    for seed in (0, 0, 1):
        images = torch.full((2, 3, *HW), 0.5, requires_grad=True)
        score.loss(images, [2, 0], 0.5, torch.Generator().manual_seed(seed)).backward()
        gradients.append(images.grad)
    assert torch.isfinite(gradients[0]).all()
    assert (gradients[0].abs().amax((1, 2, 3)) > 0).all()
    torch.testing.assert_close(gradients[0], gradients[1], atol=0.0, rtol=0.0)
    assert not torch.equal(gradients[0], gradients[2])


def test_a_whole_reconstruction_asks_the_model(pipeline: Zero123Pipeline) -> None:
    settings = small_settings()
    stage = settings.stages[0].model_copy(update={"resolution": 8, "steps": 2})
    settings = settings.model_copy(update={"stages": (stage,)})
    camera = draw_viewpoints(0, 1, (1.5, 2.2))[0]
    with_score = reconstruct(pipeline, sphere_rgba(camera, HW), camera, settings, seed=1, progress=SILENT)
    weights = settings.weights.model_copy(update={"score": 0.0})
    without = reconstruct(
        pipeline,
        sphere_rgba(camera, HW),
        camera,
        settings.model_copy(update={"weights": weights}),
        seed=1,
        progress=SILENT,
    )
    assert torch.isfinite(with_score.density).all()
    assert float((with_score.density - without.density).detach().abs().max()) > 1e-3
    assert np.isfinite(with_score.colour.detach().numpy()).all()
