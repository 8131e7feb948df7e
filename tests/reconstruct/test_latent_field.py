"""A field of latents: decoded views are compared with the photo, and a linear autoencoder brings a ball back."""

import numpy as np
import pytest
import torch
from torch import Tensor

from app.settings import load_settings
from base.errors import Failure, UsageError
from base.progress import SILENT
from geometry.camera import PAPER_LENS
from geometry.relative import pose_vector
from reconstruct.field_views import field_views
from reconstruct.finish import Photo, finish_field
from reconstruct.optimise import optimise_field, prepare_input_view, reconstruct
from reconstruct.settings import ReconstructSettings, StageSettings
from reconstruct.sjc import ModelCodec, ModelScore
from reconstruct.viewpoints import draw_viewpoints
from tests.reconstruct.scenes import COLOUR, TrueViews, small_settings, sphere_rgba
from zero123.pipeline import Zero123Pipeline

HW = (32, 32)


class LinearCodec:
    """An autoencoder of patches of 2 × 2 px: mean colours in other axes, and a channel without meaning."""

    edge_px = 2
    axes = torch.tensor([[1.0, -0.5, 0.2, 0.0], [0.5, 1.0, 0.0, 0.0], [-0.3, 0.2, 1.0, 0.0]])

    def __init__(self) -> None:
        self.background = self.encode(torch.ones(1, 3, 2, 2))[0, :, 0, 0]

    def encode(self, images: Tensor) -> Tensor:
        means = torch.nn.functional.avg_pool2d(images, self.edge_px)
        return torch.einsum("ck,bkhw->bchw", torch.linalg.pinv(self.axes), means)

    def decode(self, latents: Tensor) -> Tensor:
        colours = torch.einsum("kc,bchw->bkhw", self.axes, latents)
        return colours.repeat_interleave(self.edge_px, 2).repeat_interleave(self.edge_px, 3)


class TrueLatents(TrueViews):
    """The squared distance to the latents of the true pictures."""

    def __init__(self, images: list[np.ndarray], codec: LinearCodec) -> None:
        super().__init__(images)
        self.true = codec.encode(self.true)
        self.hw = (self.true.shape[2], self.true.shape[3])


def latent_settings(*stages: tuple[int, int]) -> ReconstructSettings:
    """Return the small settings with a field of latents, in stages of resolution and steps."""
    settings = small_settings()
    return settings.model_copy(
        update={
            "field": settings.field.model_copy(update={"space": "latents"}),
            "score": settings.score.model_copy(update={"space": "latents"}),
            "stages": tuple(StageSettings(resolution=resolution, steps=steps) for resolution, steps in stages),
        }
    )


def test_a_ball_comes_back_from_latents() -> None:
    codec, settings = LinearCodec(), latent_settings((16, 30), (32, 20))
    rates = settings.rates.model_copy(update={"colour": 0.1})
    weights = settings.weights.model_copy(update={"emptiness": 0.0})
    settings = settings.model_copy(update={"rates": rates, "weights": weights})
    cameras = draw_viewpoints(3, 12, (1.5, 2.2))
    images = [sphere_rgba(camera, HW) for camera in cameras]
    view = prepare_input_view(images[0], cameras[0], settings, codec=codec)
    score = TrueLatents(images[1:], codec)
    field = optimise_field(view, cameras[1:], score, settings, seed=0, progress=SILENT)
    seen = field_views(field, cameras, PAPER_LENS, HW, 48)
    true = np.stack(images)[..., 3] > 0
    iou = [(a & b).sum() / (a | b).sum() for a, b in zip(seen[..., 3] > 0.5, true, strict=True)]
    assert np.mean(iou) > 0.8
    inside = (seen[..., 3] > 0.9) & true
    np.testing.assert_allclose(seen[inside][:, :3].mean(0), COLOUR, atol=0.08)
    finished = finish_field(field, Photo(images[0], cameras[0], PAPER_LENS), settings, seed=0)
    assert finished.facts.faces > 100


def test_the_models_autoencoder_takes_part(pipeline: Zero123Pipeline) -> None:
    settings = latent_settings((8, 2))
    cameras = draw_viewpoints(0, 3, (1.5, 2.2))
    rgba = sphere_rgba(cameras[0], HW)
    condition = pipeline.condition(rgba[None], pose_vector(cameras[0], cameras))
    score = ModelScore(pipeline, condition, settings.score, of_latents=True)
    assert score.hw == (4, 4)
    latents = torch.zeros(2, 4, 4, 4, requires_grad=True)
    score.loss(latents, [2, 0], 0.5, torch.Generator().manual_seed(0)).backward()
    assert (latents.grad.abs().amax((1, 2, 3)) > 0).all()
    codec = ModelCodec(pipeline)
    assert (codec.edge_px, codec.background.shape) == (8, (4,))
    field = reconstruct(pipeline, rgba, cameras[0], settings, seed=1, progress=SILENT)
    assert field.colour.shape == (1, 4, 8, 8, 8)
    assert np.isfinite(field_views(field, cameras, PAPER_LENS, HW, 16)).all()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match=r"score.space latents for field.space latents, got image"):
        load_settings(None, [], ["reconstruct.field.space=latents", "reconstruct.score.space=image"])
    camera = draw_viewpoints(0, 1, (1.5, 2.2))[0]
    with pytest.raises(Failure, match="multiple of 2 px for a field of latents, got 33 px"):
        prepare_input_view(sphere_rgba(camera, (33, 33)), camera, latent_settings((8, 2)), codec=LinearCodec())
