"""The pipeline as people call it, and as score chaining does."""

import numpy as np
import pytest
import torch

from base.errors import Failure, UsageError
from base.settings import Layer, validate
from tests.zero123.networks import small_pipeline
from zero123.build import build_pipeline
from zero123.conditioning import Conditioning
from zero123.denoiser import Denoiser
from zero123.latents import condition_from_target
from zero123.pipeline import Zero123Pipeline
from zero123.score import alpha_sigma, decode, denoised, encode_target
from zero123.settings import SamplingSettings

POSES = [[0.3, 0.5, 0.866, 0.1], [-0.2, 0.0, 1.0, 0.0]]


@pytest.fixture(scope="module")
def pipeline() -> Zero123Pipeline:
    return small_pipeline()


@pytest.fixture(scope="module")
def rgba() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (32, 32, 4), dtype=np.uint8)


def test_same_seeds_give_the_same_views(pipeline: Zero123Pipeline, rgba) -> None:
    views = [pipeline.views(rgba, POSES, guidance_scale=2.0, steps=3, eta=1.0, seeds=[1, 2])]
    torch.rand(17)
    views.append(pipeline.views(rgba, POSES, guidance_scale=2.0, steps=3, eta=1.0, seeds=[1, 2]))
    assert views[0].shape == (2, 32, 32, 3)
    assert views[0].dtype == np.uint8
    assert np.array_equal(*views)
    other = pipeline.views(rgba, POSES, guidance_scale=2.0, steps=3, eta=1.0, seeds=[1, 3])
    assert np.abs(other[0].astype(int) - views[0][0]).max() <= 1
    assert not np.array_equal(other[1], views[0][1])


def test_views_of_several_pictures_share_batches(pipeline: Zero123Pipeline, rgba) -> None:
    pictures, sampling = np.stack([rgba, rgba[::-1]]), pipeline.sampling_with(guidance_scale=2.0, steps=3, eta=1.0)
    which, poses, seeds = [1, 0, 1], [POSES[0], POSES[0], POSES[1]], [1, 2, 3]
    batches = list(
        pipeline.batches_of_pictures(pictures, which, poses, seeds=seeds, sampling=sampling, views_at_once=2)
    )
    assert [len(batch) for batch in batches] == [2, 1]
    for view, picture, pose, seed in zip(np.concatenate(batches), which, poses, seeds, strict=True):
        (alone,) = pipeline.batches(pictures[picture], [pose], seeds=[seed], sampling=sampling)
        assert np.abs(view.astype(int) - alone[0]).max() <= 1
    with pytest.raises(Failure, match="seeds and which: expected 3 of each, got 3 and 2"):
        next(pipeline.batches_of_pictures(pictures, which[:2], poses, seeds=seeds, sampling=sampling))


def test_the_view_depends_on_the_input_the_pose_and_the_guidance(pipeline: Zero123Pipeline, rgba) -> None:
    one = lambda image, pose, scale: pipeline.views(image, [pose], guidance_scale=scale, steps=3, eta=0.0, seeds=[0])
    base = one(rgba, POSES[0], 3.0)
    for changed in (one(rgba[::-1], POSES[0], 3.0), one(rgba, POSES[1], 3.0), one(rgba, POSES[0], 1.0)):
        assert not np.array_equal(base, changed)


def test_hidden_colours_and_repeated_poses(pipeline: Zero123Pipeline, rgba) -> None:
    clear, painted = rgba.copy(), rgba.copy()
    clear[..., 3] = painted[..., 3] = np.where(np.arange(32) < 16, 255, 0)
    painted[:, 16:, :3] = 7
    one, other = (pipeline.condition(image[None], POSES) for image in (clear, painted))
    assert torch.equal(one.context, other.context)
    assert len(one) == 2
    assert one.context.shape == (2, 1, 16)
    assert one.latents.shape == (2, 4, 4, 4)
    pair = pipeline.condition(np.stack([clear, clear]), POSES).select([1])
    torch.testing.assert_close(pair.context, one.select([1]).context)


@pytest.mark.parametrize(
    ("image", "pose", "seeds", "sentence"),
    [
        (np.zeros((32, 32, 3), np.uint8), POSES, [0, 1], "expected uint8 (N, H, W, 4), got torch.uint8 (1, 32, 32, 3)"),
        (np.zeros((32, 32, 4), np.float32), POSES, [0, 1], "expected uint8 (N, H, W, 4), got torch.float32"),
        (np.zeros((32, 64, 4), np.uint8), POSES, [0, 1], "expected the shape of (32, 32), got 32 × 64"),
        (np.zeros((32, 32, 4), np.uint8), POSES, [0], "seeds: expected 2, one for each pose, got 1"),
    ],
)
def test_input_that_is_none_is_named(pipeline: Zero123Pipeline, image, pose, seeds, sentence: str) -> None:
    with pytest.raises(Failure) as caught:
        pipeline.views(image, pose, guidance_scale=1.0, steps=2, eta=0.0, seeds=seeds)
    assert sentence in str(caught.value)


def test_a_larger_view_is_made_smaller(pipeline: Zero123Pipeline) -> None:
    large = np.full((1, 64, 64, 4), 255, np.uint8)
    torch.testing.assert_close(pipeline.images(large), torch.ones(1, 3, 32, 32))


@torch.no_grad()
def test_denoised_inverts_the_networks_answer_with_guidance(pipeline: Zero123Pipeline, rgba) -> None:
    conditioning = pipeline.condition(rgba[None], POSES)
    noisy = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    alpha, sigma = alpha_sigma(pipeline, 700)
    assert float(alpha**2 + sigma**2) == pytest.approx(1.0, abs=1e-6)
    times = torch.full((2,), 700)
    told = pipeline.predict(noisy, times, conditioning)
    untold = pipeline.predict(noisy, times, pipeline.null(conditioning))
    expected = alpha * noisy - sigma * (untold + 3.0 * (told - untold))
    torch.testing.assert_close(denoised(pipeline, noisy, 700, conditioning, 3.0), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        denoised(pipeline, noisy, 700, conditioning, 1.0), alpha * noisy - sigma * told, rtol=1e-4, atol=1e-5
    )


def test_gradients_reach_the_picture_through_the_encoder(pipeline: Zero123Pipeline) -> None:
    images = torch.rand(1, 3, 32, 32, requires_grad=True)
    decode(pipeline, encode_target(pipeline, images)).square().mean().backward()
    assert images.grad is not None
    assert float(images.grad.abs().max()) > 0.0
    assert all(parameter.grad is None for parameter in pipeline.vae.parameters())


def test_the_same_seed_builds_the_same_weights() -> None:
    from tests.zero123.networks import settings

    torch.manual_seed(1)
    one = build_pipeline(settings(), 5)
    before = torch.get_rng_state()
    other = build_pipeline(settings(), 5)
    assert torch.equal(before, torch.get_rng_state())
    for name in ("unet", "image_encoder", "cc_projection"):
        a, b = (pipeline.modules()[name].state_dict() for pipeline in (one, other))
        assert all(torch.equal(a[key], b[key]) for key in a)
    assert not torch.equal(one.unet.conv_in.weight, build_pipeline(settings(), 6).unet.conv_in.weight)


def test_a_device_that_is_not_there_is_a_mistake_of_use(pipeline: Zero123Pipeline) -> None:
    with pytest.raises(UsageError, match="got 'nonsense'"):
        pipeline.to("nonsense")
    assert pipeline.to("cpu").device.type == "cpu"


@torch.no_grad()
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_white_latent_origin(rgba, prediction: str) -> None:
    how = {"prediction": prediction, "zero_terminal_snr": False, "timestep_spacing": "leading"}
    plain, shifted = small_pipeline(**how), small_pipeline(**how, latent_origin="white")
    white = encode_target(plain, torch.ones(1, 3, 32, 32))
    noisy = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    alpha, _ = alpha_sigma(plain, 400)
    there = shifted.condition(rgba[None], POSES)
    moved = there.latents - condition_from_target(white)
    here = Conditioning(plain.cc_projection(plain.embedding(None, moved), torch.tensor(POSES)), moved)
    torch.testing.assert_close(there.context, here.context, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        denoised(shifted, noisy + alpha * white, 400, there, 1.0),
        denoised(plain, noisy, 400, here, 1.0) + white,
        rtol=1e-4,
        atol=1e-4,
    )


@torch.no_grad()
def test_guidance_is_left_out_outside_its_interval(pipeline: Zero123Pipeline, rgba) -> None:
    conditioning = pipeline.condition(rgba[None], POSES)
    noisy = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    values = {"guidance_scale": 3.0, "guidance_interval": [0.2, 0.6], "steps": 3, "eta": 0.0, "sampler": "ddim"}
    sampling = validate(SamplingSettings, Layer("test", values | {"timesteps": "all"}))
    with Denoiser(pipeline, conditioning, sampling).ready() as predict:
        answers = {timestep: predict(noisy, timestep) for timestep in (100, 400, 700)}
    for timestep, answer in answers.items():
        times = torch.full((2,), timestep)
        told, untold = (pipeline.predict(noisy, times, one) for one in (conditioning, pipeline.null(conditioning)))
        expected = untold + 3.0 * (told - untold) if timestep == 400 else told
        torch.testing.assert_close(answer, expected, rtol=1e-4, atol=1e-5)
