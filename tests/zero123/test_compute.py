"""Ways to compute while sampling change pictures by rounding alone; settings beyond the device are refused."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import zero123.compute
from base.errors import UsageError
from base.settings import Layer, validate
from tests.zero123.networks import small_pipeline
from zero123.compute import batch_size, free_bytes, view_bytes
from zero123.latents import target_latent
from zero123.pipeline import Zero123Pipeline
from zero123.settings import SampleComputeSettings

PLAIN: dict[str, Any] = {
    "views_at_once": 2,
    "precision": "fp32",
    "channels_last": False,
    "compile": "no",
    "offload": False,
    "tile_px": 0,
}
RGBA = np.random.default_rng(0).integers(0, 256, (32, 32, 4), np.uint8)
POSES = np.array([[0.3, 0.5, 0.8, 0.1], [-0.2, -0.7, 0.7, 0.0], [0.0, 0.0, 1.0, 0.0]])


def compute(**changes: Any) -> SampleComputeSettings:
    return validate(SampleComputeSettings, Layer("test", PLAIN | changes))


@pytest.fixture
def anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is for accelerators works on a CPU as well, if more slowly."""
    monkeypatch.setattr(zero123.compute, "_check", lambda *_: None)


@pytest.fixture(autouse=True)
def no_traces() -> Iterator[None]:
    yield
    torch._dynamo.reset()


def pictures(guidance_scale: float = 2.0, **changes: Any) -> NDArray[np.float64]:
    pipeline = small_pipeline().prepare(compute(**changes), "cpu")
    sampling = pipeline.sampling_with(steps=4, guidance_scale=guidance_scale, sampler="ddim", eta=0.0)
    made = pipeline.batches(RGBA, POSES, seeds=[1, 2, 3], sampling=sampling, views_at_once=2)
    return np.concatenate(list(made)).astype(float)


def decibels(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    return float(10.0 * np.log10(255.0**2 / max(float(((first - second) ** 2).mean()), 1e-9)))


def test_half_precision_is_near_float32(anywhere: None) -> None:
    plain = pictures()
    assert decibels(pictures(precision="bf16"), plain) > 45.0
    assert decibels(pictures(precision="fp16"), plain) > 50.0


def test_bf16_on_a_cpu_rounds_less_than_a_network_wholly_in_it() -> None:
    exact, whole = small_pipeline().unet, small_pipeline().unet
    half = small_pipeline().prepare(compute(precision="bf16"), "cpu").unet
    torch.nn.Module.to(whole, torch.bfloat16)
    parts = ("conv_in", "conv_out", "mid_block.resnets.0.conv1")
    kinds = [half.get_submodule(part).weight.dtype for part in parts]
    assert kinds == [torch.float32, torch.float32, torch.bfloat16]
    generator = torch.Generator().manual_seed(0)
    noisy = torch.randn((8, 8, 4, 4), generator=generator)
    context = torch.randn((8, 1, half.config.cross_attention_dim), generator=generator)

    def answer(unet: Any) -> torch.Tensor:
        with torch.no_grad():
            found: torch.Tensor = unet(
                noisy.to(unet.dtype), 500, encoder_hidden_states=context.to(unet.dtype)
            ).sample.float()
        return found

    errors = [float((answer(unet) - answer(exact)).pow(2).mean()) for unet in (half, whole)]
    assert 0.0 < errors[0] < 0.7 * errors[1]


def test_channels_last_and_offload_change_rounding_alone(anywhere: None) -> None:
    plain = pictures()
    assert np.abs(pictures(channels_last=True) - plain).max() <= 1
    assert np.array_equal(pictures(offload=True), plain)


def test_offload_moves_networks_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = small_pipeline().offload("cpu")
    names = {id(module): name for name, module in pipeline.modules().items()}
    moves: list[tuple[str, str]] = []

    def note(module: torch.nn.Module, to: Any) -> torch.nn.Module:
        moves.append((names[id(module)], "home" if to == "cpu" else "device"))
        return module

    for module in pipeline.modules().values():
        monkeypatch.setattr(type(module), "to", note)
    pipeline.views(RGBA, POSES[:1], seeds=[1], steps=2, sampler="ddim", eta=0.0)
    order = ("vae", "image_encoder", "cc_projection", "unet", "vae")
    assert moves == [(name, where) for name in order for where in ("device", "home")]


@pytest.mark.slow
def test_a_compiled_network_gives_the_same_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a backend that traces and lowers as the real one does, without its minutes of code generation."""
    compiled = []

    def compile_quickly(module: torch.nn.Module, mode: str | None = None) -> None:
        compiled.append(mode)
        module._compiled_call_impl = torch.compile(module._call_impl, backend="aot_eager")

    plain = pictures()
    monkeypatch.setattr(torch.nn.Module, "compile", compile_quickly)
    assert np.abs(pictures(compile="default") - plain).max() <= 1
    assert compiled == [None]


def test_tiles_give_nearly_the_whole_picture() -> None:
    model = small_pipeline(hw=[128, 128])
    ramps = np.indices((128, 128)).sum(0).astype(np.uint8)
    rgba = np.dstack([ramps, ramps.T, 255 - ramps, np.full_like(ramps, 255)])
    latents = target_latent(model.vae, model.images(rgba[None])).detach()
    whole = model.decode(latents).astype(float)
    model.prepare(compute(tile_px=64), "cpu")
    assert decibels(model.decode(latents).astype(float), whole) > 25.0
    large = small_pipeline(hw=[128, 128]).prepare(compute(tile_px=128), "cpu")
    assert np.array_equal(large.decode(latents), whole)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"precision": "fp16"}, "precision: expected fp32 or bf16 on a CPU, got fp16"),
        ({"channels_last": True}, "channels_last: expected an accelerator, got cpu"),
        ({"offload": True}, "offload: expected an accelerator, got cpu"),
        ({"compile": "cuda_graphs"}, "compile: expected a CUDA device for cuda_graphs, got cpu"),
    ],
)
def test_settings_beyond_the_device_are_one_sentence(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        small_pipeline().prepare(compute(**changes), "cpu")


def test_the_batch_follows_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline: Zero123Pipeline = small_pipeline()
    view = view_bytes(pipeline, guided=True)
    assert view_bytes(pipeline, guided=False) <= view
    assert free_bytes(torch.device("cpu")) > 0
    for free, fitting in ((0, 1), (2 * view, 1), (6 * view, 3), (10_000 * view, 8)):
        monkeypatch.setattr(zero123.compute, "free_bytes", lambda _, free=free: free)
        assert batch_size(pipeline, 0, guided=True) == fitting
    assert batch_size(pipeline, 5, guided=True) == 5
