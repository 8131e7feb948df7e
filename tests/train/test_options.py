"""What successors of the paper do otherwise, each off in `paper` and one setting away; against slow formulas."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.settings import load_settings
from base.errors import UsageError
from base.progress import SILENT
from base.storage import Storage
from geometry.camera import camera_centre
from shards.pair import Pair
from shards.stream import stream_pairs
from shards.version import read_version
from tests.train.runs import make_dataset, model_settings, train, train_settings
from train.batch import make_batch
from train.collate import CollatedPairs, collate
from train.draws import make_draws
from train.loss import min_snr_weight, offset_noise, pair_losses
from train.memo import LatentMemo
from zero123.build import build_pipeline
from zero123.pipeline import Zero123Pipeline
from zero123.trained import trained_parameters

SHAPE = (4, 4, 4)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    return make_dataset(tmp_path_factory.mktemp("options") / "dataset")


@pytest.fixture(scope="module")
def pairs(storage: Storage) -> list[Pair]:
    stream = stream_pairs(read_version(storage), storage, split="train", seed=0, position=0, pairs_per_visit=6)
    return [next(stream) for _ in range(6)]


def some(pairs: list[Pair], pipeline: Zero123Pipeline, **changes: Any) -> CollatedPairs:
    return collate(pairs, pipeline, train_settings(**changes))


def test_the_paper_has_none_of_them() -> None:
    settings = load_settings(None, ["paper"])
    model, train_ = settings.model, settings.train
    assert model.prediction == "epsilon"
    assert not model.zero_terminal_snr
    assert model.pose_slot4 == "radius_difference"
    assert model.image_encoder.tokens == "one"
    assert model.latent_origin == "zero"
    assert not model.unet.context_in_time
    assert train_.picture_loss is None
    assert train_.min_snr_gamma is None
    assert train_.noise_offset == 0.0
    assert train_.random_background == 0.0
    assert train_.mirror == 0.0
    assert train_.timestep_power == 1.0


def test_every_item_of_the_papers_recipe() -> None:
    train_ = load_settings(None, ["paper"]).train
    assert (train_.batch, train_.images) == (1536, 105_000 * 1536)
    optimiser = train_.optimiser
    assert optimiser.learning_rate == 1e-4
    assert optimiser.projection_factor == 10.0
    assert optimiser.decay == "constant"
    assert optimiser.betas == (0.9, 0.999)
    assert optimiser.weight_decay == 0.01
    assert optimiser.clip_norm is None
    assert optimiser.warmup_images == 100 * train_.batch
    assert train_.dropout.model_dump() == {"context": 0.05, "latents": 0.05, "both": 0.05, "where": "embedding"}
    assert train_.ema.decay == 0.9999
    assert train_.ema.projection
    assert load_settings(None, ["paper", "legacy"]).train.ema.projection is False


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_min_snr_weighs_as_the_formula_says(prediction: Any) -> None:
    alpha = torch.linspace(0.001, 0.999, 50).double()
    sigma = (1 - alpha**2).sqrt()
    snr = alpha**2 / sigma**2
    expected = torch.clamp(snr, max=5.0) / (snr if prediction == "epsilon" else snr + 1)
    torch.testing.assert_close(min_snr_weight(alpha, sigma, 5.0, prediction), expected)


def test_min_snr_keeps_pure_noise() -> None:
    weight = min_snr_weight(torch.tensor([0.0, 0.6]), torch.tensor([1.0, 0.8]), 5.0, "v_prediction")
    torch.testing.assert_close(weight, torch.tensor([1.0, 0.36]))


def test_answers_to_pure_noise_are_also_compared_as_pictures(pairs: list[Pair]) -> None:
    pipeline = build_pipeline(model_settings(), 0)
    for parameter in trained_parameters(pipeline).values():
        parameter.requires_grad = True
    settings = train_settings(picture_loss={"share": 0.5, "weight": 3.0})
    part = collate(pairs, pipeline, settings)
    last = part.timesteps == 999
    assert 0 < int(last.sum()) < len(pairs)
    # From the memo, and without a memo.
    for megabytes in (1, 0):
        memo = LatentMemo(pipeline.vae, megabytes << 20)
        batch = make_batch(pipeline, part, memo, 0.0, keep_pictures=True)
        both = pair_losses(pipeline, batch, part.draws, settings)
        latents_alone = pair_losses(pipeline, batch, part.draws, train_settings())
        expected = torch.zeros(len(pairs))
        for row in range(len(pairs)):
            if last[row]:
                # An untrained model answers 0, and pure noise has x_0 = −v.
                shown = pipeline.vae.decode(torch.zeros(1, *batch.target.shape[1:])).sample.detach()
                rgba = torch.from_numpy(pairs[row].target_rgba / 255.0)
                true = (rgba[..., :3] * rgba[..., 3:] + 1.0 - rgba[..., 3:]) * 2.0 - 1.0
                expected[row] = 3.0 * float(((shown[0].permute(1, 2, 0) - true) ** 2).mean())
        torch.testing.assert_close((both - latents_alone).detach(), expected, rtol=1e-4, atol=1e-5)
    both.sum().backward()
    gradient = next(parameter.grad for name, parameter in trained_parameters(pipeline).items() if "conv_out" in name)
    assert gradient is not None
    assert float(gradient.abs().max()) > 0.0


def test_a_batch_without_pure_noise_has_no_picture_to_compare(pairs: list[Pair]) -> None:
    pipeline = build_pipeline(model_settings(), 0)
    settings = train_settings(picture_loss={"share": 0.01, "weight": 3.0})
    part = collate(pairs[:1], pipeline, settings)
    batch = make_batch(pipeline, part, LatentMemo(pipeline.vae, 0), 0.0, keep_pictures=True)
    assert batch.pictures is not None
    assert len(batch.pictures) == 0
    alone = pair_losses(pipeline, batch, part.draws, train_settings())
    assert torch.equal(pair_losses(pipeline, batch, part.draws, settings), alone)


def test_an_offset_shifts_whole_channels() -> None:
    draws = make_draws(0, range(2000), SHAPE, posterior=False)
    assert offset_noise(draws, 0.0) is draws.noise
    shift = offset_noise(draws, 0.1) - draws.noise
    assert float(shift.std(dim=(2, 3)).max()) < 1e-6
    assert float(shift[:, :, 0, 0].std()) == pytest.approx(0.1, rel=0.05)


def test_a_random_background_is_one_colour_behind_both_views(pairs: list[Pair]) -> None:
    pipeline = build_pipeline(model_settings(), 0)
    encoded: list[torch.Tensor] = []
    real = pipeline.vae.encode
    pipeline.vae.encode = lambda images: (encoded.append(images), real(images))[1]
    part = some(pairs, pipeline)
    white = make_batch(pipeline, part, LatentMemo(pipeline.vae, 1 << 20), 0.0)
    encoded.clear()
    batch = make_batch(pipeline, part, LatentMemo(pipeline.vae, 1 << 20), 1.0)
    targets, sources = encoded
    corner = sources[:, :, 0, 0]
    assert torch.equal(corner, targets[:, :, 0, 0])
    torch.testing.assert_close((corner + 1) / 2, part.draws.colour)
    assert not torch.allclose(batch.target, white.target, atol=0.1)


def test_the_inputs_elevation_takes_the_place_of_the_radius(storage: Storage, pairs: list[Pair]) -> None:
    plain = some(pairs, build_pipeline(model_settings(), 0)).pose
    told = some(pairs, build_pipeline(model_settings(pose_slot4="input_polar"), 0)).pose
    assert torch.equal(told[:, :3], plain[:, :3])
    version = read_version(storage)
    from shards.reader import read_shard

    cameras = {sample.uid: sample.extrinsics for shard in version.shards for sample in read_shard(storage, shard)}
    for pose, pair in zip(told, pairs, strict=True):
        centre = camera_centre(cameras[pair.uid][pair.source])
        assert float(pose[3]) == pytest.approx(np.arccos(centre[2] / np.linalg.norm(centre)), abs=1e-6)


def test_a_model_that_is_told_the_elevation_asks_for_it() -> None:
    plain, told = (build_pipeline(model_settings(pose_slot4=slot), 0) for slot in ("radius_difference", "input_polar"))
    pose = [[0.1, 0.0, 1.0, 0.3]]
    assert plain.adapt_poses(pose, None).tolist() == pose
    assert told.adapt_poses(pose, 1.2).tolist() == [[0.1, 0.0, 1.0, 1.2]]
    with pytest.raises(UsageError, match="needs the elevation of the input's camera"):
        told.adapt_poses(pose, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"image_encoder": {"tokens": "patches"}, "unet": {"context_in_time": False}},
        {"image_encoder": {"tokens": "patches"}},
        {"prediction": "epsilon", "zero_terminal_snr": False, "timestep_spacing": "leading"},
        {"pose_slot4": "input_polar"},
    ],
)
def test_each_model_learns_saves_and_samples(storage: Storage, tmp_path: Path, changes: dict) -> None:
    settings = train_settings(images=8, min_snr_gamma=5.0, noise_offset=0.05, random_background=0.5)
    done = train(model_settings(**changes), settings, storage, tmp_path, SILENT)
    pipeline = Zero123Pipeline.from_pretrained(done.checkpoint)
    rgba = np.full((32, 32, 4), 255, np.uint8)
    pose = pipeline.adapt_poses([[0.1, 0.0, 1.0, 0.0]], 1.0)
    assert pipeline.views(rgba, pose, guidance_scale=2.0, steps=2, eta=0.0, seeds=[0]).shape == (1, 32, 32, 3)


def test_patches_are_tokens_that_are_attended_to(pairs: list[Pair]) -> None:
    pipeline = build_pipeline(model_settings(image_encoder={"tokens": "patches"}), 0)
    part = some(pairs, pipeline)
    batch = make_batch(pipeline, part, LatentMemo(pipeline.vae, 1 << 20), 0.0)
    assert pipeline.embedding(None, batch.condition).shape == (6, 4, 12)
    names = set(trained_parameters(pipeline))
    assert [name for name in names if ".attn2.to_q" in name]
    for parameter in trained_parameters(pipeline).values():
        parameter.requires_grad = True
    with torch.no_grad():
        torch.nn.init.normal_(pipeline.unet.conv_out.weight)
    pair_losses(pipeline, batch, part.draws, train_settings()).sum().backward()
    moved = [name for name, p in pipeline.unet.named_parameters() if ".attn2.to_q" in name and p.grad.abs().max() > 0]
    assert moved
