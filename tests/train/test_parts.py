"""The parts of the trainer, each against a slow and obvious version of itself."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.backends import cudnn

from base.errors import UsageError
from geometry.camera import look_at_origin
from geometry.relative import pose_vector
from shards.pair import Pair
from shards.version import Version
from tests.train.runs import model_settings, train_settings
from train.checks import check_dataset, check_unchanged
from train.collate import mirror_pair
from train.compute import precision_on, set_compute_mode
from train.draws import make_draws, timesteps_from
from train.ema import Ema, ema_decay
from train.memo import LatentMemo
from train.optimiser import learning_rate, make_optimiser
from train.state import Position
from zero123.build import build_pipeline
from zero123.latents import composited, target_latent
from zero123.trained import trained_parameters


def test_ema_follows_the_formula_and_starts_short() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    ema = Ema({"weight": weight}, limit=0.5)
    expected = 1.0
    for step in range(1, 12):
        with torch.no_grad():
            weight.copy_(torch.tensor([float(step * step)]))
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step * step
        ema.update(step)
    assert float(ema.averages["weight"]) == pytest.approx(expected, rel=1e-5)
    assert [ema_decay(0.9999, n) for n in (0, 8, 10**9)] == [0.1, 0.5, 0.9999]
    with ema.apply_averages():
        assert float(weight.detach()) == pytest.approx(expected, rel=1e-5)
    assert float(weight.detach()) == 121.0


def test_draws_belong_to_the_pair_not_to_its_batch() -> None:
    together = make_draws(0, [5, 6, 7], (4, 2, 2), posterior=True)
    alone = make_draws(0, [6], (4, 2, 2), posterior=True)
    for one, other in zip(alone.tensors(), together.tensors(), strict=True):
        assert torch.equal(one[0], other[1])
    assert not torch.equal(together.noise, make_draws(1, [5, 6, 7], (4, 2, 2), posterior=True).noise)
    many = make_draws(0, range(4000), (4, 2, 2), posterior=True)
    assert many.posterior is not None
    for values in (many.time, many.drop):
        assert abs(float(values.mean()) - 0.5) < 0.02
    assert abs(float(many.noise.std()) - 1.0) < 0.01
    assert abs(float((many.noise * many.posterior).mean())) < 0.01


def test_unneeded_posterior_is_not_drawn() -> None:
    numbers, shape = [3, 10**12], (4, 8, 8)
    drawn, spared = (make_draws(0, numbers, shape, posterior=posterior) for posterior in (True, False))
    assert spared.posterior is None
    for one, other in zip(spared.tensors(), drawn.tensors(), strict=False):
        assert torch.equal(one, other)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_timesteps_cover_the_schedule_with_the_stated_weight(power: float) -> None:
    times = timesteps_from(torch.linspace(0, 1, 100_001)[:-1], 1000, power)
    assert (int(times.min()), int(times.max())) == (0, 999)
    noisier_half = float((times >= 500).double().mean())
    assert noisier_half == pytest.approx(0.5 ** (1.0 / power), abs=1e-3)


@pytest.mark.parametrize("last", [0.25, 1.0])
def test_a_share_of_the_draws_becomes_the_last_timestep(last: float) -> None:
    times = timesteps_from(torch.linspace(0, 1, 100_001)[:-1], 1000, 1.0, last)
    assert float((times == 999).double().mean()) == pytest.approx(last + (1.0 - last) / 1000, abs=1e-3)
    others = times[times < 999].double()
    assert others.numel() == 0 or float(others.mean()) == pytest.approx(499, abs=1.0)


def test_learning_rate_schedule() -> None:
    settings = train_settings(optimiser={"warmup_images": 100, "decay": "cosine"}).optimiser
    rates = [learning_rate(settings, images, 1000) for images in range(1001)]
    assert rates[0] == pytest.approx(1e-5)
    assert max(rates) == pytest.approx(1e-3 * 0.5 * (1 + np.cos(np.pi * 0.1)), rel=1e-2)
    assert rates[-1] == 0.0
    parameters = trained_parameters(build_pipeline(model_settings(), 0))
    optimiser = make_optimiser(parameters, settings)
    assert [group["factor"] for group in optimiser.param_groups] == [1.0, 10.0]
    names = {name.split(".")[0] for name in parameters}
    assert names == {"unet", "cc_projection", "image_encoder"}
    assert not [name for name in parameters if ".attn2.to_q" in name or ".attn2.to_k" in name]
    assert len(optimiser.param_groups[1]["params"]) == 2


def test_memo_evicts_and_recomputes_exactly() -> None:
    vae = build_pipeline(model_settings(), 0).vae
    rng = np.random.default_rng(0)
    views = {f"view {n}": rng.integers(0, 256, (32, 32, 4), dtype=np.uint8) for n in range(10)}
    roomy, tight = LatentMemo(vae, 1 << 20), LatentMemo(vae, 3 * 4 * 4 * 4 * 4)
    keys = list(views)
    stacked = torch.from_numpy(np.stack(list(views.values())))
    expected = roomy.latents(keys, stacked)
    reference = target_latent(vae, composited(stacked))
    torch.testing.assert_close(expected, reference, rtol=1e-4, atol=1e-4)
    for order in (keys, keys[::-1], keys[3:7]):
        got = tight.latents(order, stacked[[keys.index(key) for key in order]])
        assert torch.equal(got, expected[[keys.index(key) for key in order]])
        assert tight.bytes <= tight.limit_bytes
    untouched = torch.zeros(1, 32, 32, 4, dtype=torch.uint8)
    assert torch.equal(roomy.latents(["view 3"], untouched)[0], expected[3])


def switches() -> tuple[str, bool, bool]:
    """How exact float32 products and convolutions are on a GPU, and whether the quickest convolution is looked for."""
    return torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.benchmark


@pytest.mark.parametrize(
    ("precision", "expected"), [("fp32", ("highest", False)), ("tf32", ("high", True)), ("bf16", ("high", True))]
)
def test_precision_covers_products_and_convolutions(precision: str, expected: tuple[str, bool]) -> None:
    compute, before = train_settings(compute={"precision": precision}).compute, switches()
    with set_compute_mode(compute, torch.device("cuda"), 0):
        assert switches() == (*expected, True)
    assert switches() == before
    with set_compute_mode(compute, torch.device("cpu"), 0):
        assert switches() == before


@pytest.mark.parametrize(
    ("found", "expected"), [({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"), ({"avx2": True}, "fp32")]
)
def test_auto_is_bfloat16_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, found: dict[str, bool], expected: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    assert precision_on(torch.device("cpu"), train_settings(compute={"precision": "auto"}).compute) == expected
    assert precision_on(torch.device("cpu"), train_settings(compute={"precision": "tf32"}).compute) == "tf32"


def test_a_setting_that_a_run_began_without_is_named(tmp_path: Path) -> None:
    before = {"train": {"seed": 0}}
    check_unchanged(before, {"train": {"images": None, "seed": 0}}, tmp_path)
    with pytest.raises(UsageError, match=r"train.images: expected None, .* began .*, got 8"):
        check_unchanged(before, {"train": {"images": 8, "seed": 0}}, tmp_path)
    with pytest.raises(UsageError, match=r"train.seed: expected 0, .* began, got None"):
        check_unchanged(before, {"train": {}}, tmp_path)


def test_settings_that_mean_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="add up to at most 1"):
        train_settings(dropout={"context": 0.95})
    with pytest.raises(UsageError, match=r"optimiser.decay: expected 'constant' or 'cosine', got 'linear'"):
        train_settings(optimiser={"decay": "linear"})
    asked = train_settings(picture_loss={"share": 0.5, "weight": 1.0})
    version = Version(1, 1, 0, "0" * 16, 12, (32, 32), ())
    with pytest.raises(UsageError, match=r"train.picture_loss: expected model.zero_terminal_snr true, got false"):
        check_dataset(version, model_settings(zero_terminal_snr=False), asked)
    check_dataset(version, model_settings(), asked)
    with pytest.raises(UsageError, match="cached_latents false with picture_loss"):
        train_settings(cached_latents=True, picture_loss={"share": 0.5, "weight": 1.0})


def test_a_mirror_shows_another_object_from_mirrored_cameras() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(2, 3)) + 1.0
    here, there = (look_at_origin(centre) for centre in centres)
    behind = [look_at_origin(centre * np.array([1.0, -1.0, 1.0])) for centre in centres]
    images = rng.integers(0, 256, (2, 4, 4, 4), dtype=np.uint8)
    pair = Pair(
        number=0, uid="mug", source=1, target=2, R=np.eye(3), T=np.zeros(3), pose=pose_vector(here, there),
        source_polar_rad=1.0, source_rgba=images[0], target_rgba=images[1],
    )  # fmt: skip
    flipped = mirror_pair(pair)
    np.testing.assert_allclose(flipped.pose, pose_vector(*behind), atol=1e-12)
    assert np.array_equal(flipped.target_rgba, images[1][:, ::-1])
    assert flipped.uid != pair.uid


def test_usual_norm_recovers_from_an_exploded_first_step() -> None:
    position = Position(0, 0, 0.0, 1, {})
    assert position.largest_norm(100.0) == math.inf
    position = position.advance(8, 0.1, 1e6)
    for _ in range(20):
        position = position.advance(8, 0.1, 1.0)
    assert position.usual_norm == pytest.approx(1.0, abs=1.0)
    assert position.largest_norm(100.0) < 200.0
