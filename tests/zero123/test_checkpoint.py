"""Checkpoints: exact round trips, and nothing trusted."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from base.errors import Failure, UsageError
from tests.zero123.networks import settings, small_pipeline
from zero123.build import build_pipeline
from zero123.modules import unet_config
from zero123.pipeline import Zero123Pipeline

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    small_pipeline().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def changed(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refused(folder: Path, sentence: str) -> None:
    with pytest.raises(Failure) as caught:
        Zero123Pipeline.from_pretrained(folder)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_round_trip_is_exact_and_takes_taesd_from_the_package(folder: Path, tmp_path: Path) -> None:
    one, other = small_pipeline(), Zero123Pipeline.from_pretrained(folder)
    rgba = np.random.default_rng(0).integers(0, 256, (32, 32, 4), dtype=np.uint8)
    views = [
        pipeline.views(rgba, [[0.1, 0.2, 0.9, 0.0]], guidance_scale=3.0, steps=3, eta=1.0, seeds=[0])
        for pipeline in (one, other)
    ]
    assert np.array_equal(*views)
    assert sorted(path.name for path in folder.iterdir()) == [
        "cc_projection", "image_encoder", "model_index.json", "scheduler", "unet",
    ]  # fmt: skip
    other.save_pretrained(tmp_path / "again")
    for path in (path for path in folder.rglob("*") if path.is_file()):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(folder)).read_bytes()


def test_sampling_defaults_travel_with_the_checkpoint(folder: Path) -> None:
    index = folder / "model_index.json"
    facts = json.loads(index.read_text())["_zero123"]
    assert (facts["sampling"]["steps"], facts["sampling"]["timesteps"]) == (30, "all")
    changed(index, _zero123=facts | {"sampling": facts["sampling"] | {"steps": 7, "sampler": "unipc"}})
    pipeline = Zero123Pipeline.from_pretrained(folder)
    assert (pipeline.defaults.steps, pipeline.defaults.sampler) == (7, "unipc")
    assert pipeline.sampling_with(steps=3).model_dump() == pipeline.defaults.model_dump() | {"steps": 3}
    with pytest.raises(UsageError, match=r"sampling: steps: expected .*, got 0"):
        pipeline.sampling_with(steps=0)
    changed(index, _zero123=facts | {"sampling": {"steps": 7}})
    refused(folder, "_zero123.sampling: guidance_scale: expected a value, got nothing")
    del facts["sampling"]
    changed(index, _zero123=facts)
    assert Zero123Pipeline.from_pretrained(folder).defaults.steps == 30, "as before defaults were written"


def test_parts_without_a_reference_are_written_along(folder: Path, tmp_path: Path) -> None:
    pipeline = Zero123Pipeline.from_pretrained(folder)
    pipeline.references = {}
    pipeline.save_pretrained(tmp_path / "whole")
    again = Zero123Pipeline.from_pretrained(tmp_path / "whole")
    a, b = pipeline.vae.state_dict(), again.vae.state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_what_is_no_checkpoint_is_said_to_be_none(folder: Path, tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "expected a model or a training run with checkpoints/, got neither")
    changed(folder / "model_index.json", _class_name="StableDiffusionPipeline")
    refused(folder, "expected a Zero123Pipeline of this project, got 'StableDiffusionPipeline'")
    (folder / "model_index.json").write_text("{ not json")
    refused(folder, "model_index.json: expected JSON, got something else")
    (folder / "model_index.json").write_text("[" * 100_000)
    refused(folder, "model_index.json: expected JSON, got something else")


class Bomb:
    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("pickle-was-opened"),))


def test_pickled_weights_are_never_opened(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (folder / "unet" / WEIGHTS).unlink()
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    refused(folder, "unet: expected weights as safetensors, got diffusion_pytorch_model.bin, which can run code")
    (folder / "unet" / WEIGHTS).write_bytes(pickle.dumps(Bomb()))
    refused(folder, f"{WEIGHTS}: expected safetensors, got:")
    assert not (tmp_path / "pickle-was-opened").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda tensors: tensors.pop("projection.bias"), "expected no missing tensor, got projection.bias"),
        (lambda tensors: tensors.update(extra=torch.zeros(1)), "expected no unknown tensor, got extra"),
        (
            lambda tensors: tensors.update({"projection.bias": torch.zeros(3)}),
            "projection.bias: expected shape [16], got [3]",
        ),
    ],
)
def test_every_tensor_is_accounted_for(folder: Path, change: Any, sentence: str) -> None:
    path = folder / "cc_projection" / WEIGHTS
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    refused(folder, sentence)


def test_a_truncated_file_is_named(folder: Path) -> None:
    path = folder / "unet" / WEIGHTS
    path.write_bytes(path.read_bytes()[:-1000])
    refused(folder, f"unet/{WEIGHTS}: expected safetensors")


@pytest.fixture
def split(folder: Path) -> Path:
    """The same model, its UNet in several files."""
    Zero123Pipeline.from_pretrained(folder).save_pretrained(folder.with_name("split"), 120_000)
    return folder.with_name("split")


def test_weights_in_several_files_are_the_same_model(folder: Path, split: Path) -> None:
    assert len(list((split / "unet").glob("*.safetensors"))) > 1
    one, other = (Zero123Pipeline.from_pretrained(path).unet.state_dict() for path in (folder, split))
    assert list(one) == list(other)
    assert all(torch.equal(one[name], other[name]) for name in one)
    theirs = UNet2DConditionModel.from_pretrained(split / "unet").state_dict()
    assert all(torch.equal(one[name], theirs[name]) for name in one)


@pytest.mark.parametrize(
    "name", ["../config.json", "/etc/passwd", "../unet/a.safetensors", "gone.safetensors", 7, None]
)
def test_an_index_names_nothing_but_files_beside_it(split: Path, name: Any) -> None:
    changed(split / "unet" / f"{WEIGHTS}.index.json", weight_map={"conv_in.weight": name})
    refused(split, f"{WEIGHTS}.index.json: expected the names of safetensors files beside it, got {str(name)!r}")


def test_every_tensor_of_several_files_is_accounted_for(split: Path) -> None:
    index = split / "unet" / f"{WEIGHTS}.index.json"
    first, *rest = sorted((split / "unet").glob("*.safetensors"))
    tensors = load_file(first)
    save_file({**tensors, "extra": torch.zeros(1)}, first)
    refused(split, "index.json: expected no unknown tensor, got extra")
    save_file({**tensors, **load_file(rest[0])}, first)
    refused(split, f"{rest[0].name}: expected each tensor once, got")
    save_file(tensors, first)
    changed(index, weight_map={"conv_in.weight": first.name})
    refused(split, "index.json: expected no missing tensor, got")
    changed(index, weight_map=[])
    refused(split, "index.json: expected the names of safetensors files")


def test_code_and_foreign_classes_in_the_index_are_not_loaded(folder: Path) -> None:
    (folder / "unet" / "evil.py").write_text("raise SystemExit('ran')")
    changed(folder / "model_index.json", unet=["evil", "UNet"])
    refused(folder, "unet: expected diffusers.UNet2DConditionModel, got ['evil', 'UNet']")
    changed(folder / "model_index.json", unet=["diffusers", "UNet2DConditionModel"], safety_checker=["evil", "X"])
    refused(folder, "'safety_checker'")


def test_configuration_larger_than_the_file_is_refused(folder: Path) -> None:
    changed(folder / "unet" / "config.json", block_out_channels=[32_768, 65_536])
    refused(folder, "expected shape")
    changed(folder / "unet" / "config.json", block_out_channels="nonsense")
    refused(folder, "config.json: expected a UNet2DConditionModel, got")


def test_parts_of_two_models_are_not_one(folder: Path, tmp_path: Path) -> None:
    small_pipeline(unet={"context": 24}).save_pretrained(tmp_path / "other")
    (folder / "cc_projection").rename(tmp_path / "old")
    (tmp_path / "other" / "cc_projection").rename(folder / "cc_projection")
    refused(folder, "cc_projection: context: expected 16, got 24")


def test_references_are_checked(folder: Path) -> None:
    facts = json.loads((folder / "model_index.json").read_text())["_zero123"]
    for reference, sentence in (
        ({"packaged": "taesd", "sha256": "0" * 64}, "expected the TAESD that it was trained with"),
        ({"packaged": "../../etc"}, "vae: expected a reference to TAESD or to a base model"),
        ({"source": "/nowhere/at/all", "part": "vae"}, "expected a folder or a hub id such as owner/name"),
        ({"source": "/nowhere", "part": "../vae"}, "expected a part of a model"),
        (7, "expected a reference to a frozen part, got 7"),
    ):
        changed(folder / "model_index.json", _zero123=facts | {"references": {"vae": reference}})
        refused(folder, sentence)


BASED: dict[str, Any] = {
    "autoencoder": "sd", "image_encoder": {"kind": "clip", "embedding": 16, "channels": []},
    "prediction": "epsilon", "zero_terminal_snr": False, "timestep_spacing": "leading",
}  # fmt: skip
"""What a model takes from image variations, and what it predicts then."""


def base_model(folder: Path) -> Path:
    """A folder such as Stable Diffusion image variations has, with small random networks of 4 input channels."""
    torch.manual_seed(0)
    UNet2DConditionModel(**unet_config(settings().unet, 4, in_channels=4)).save_pretrained(folder / "unet")
    AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=4,
    ).save_pretrained(folder / "vae")
    clip = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
            "image_size": 224, "patch_size": 56, "projection_dim": 16}  # fmt: skip
    CLIPVisionModelWithProjection(CLIPVisionConfig(**clip)).save_pretrained(folder / "image_encoder")
    return folder


def test_model_refers_to_frozen_parts(tmp_path: Path) -> None:
    base = base_model(tmp_path / "base")
    wanted = settings(weights=str(base), **BASED)
    pipeline = build_pipeline(wanted, 0)
    four = UNet2DConditionModel.from_pretrained(base / "unet", low_cpu_mem_usage=False)
    assert torch.equal(pipeline.unet.conv_in.weight[:, :4], four.conv_in.weight)
    assert not pipeline.unet.conv_in.weight[:, 4:].any()
    pipeline.save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model" / "vae").exists()
    rgba = np.random.default_rng(0).integers(0, 256, (32, 32, 4), dtype=np.uint8)
    views = [
        model.views(rgba, [[0.1, 0.2, 0.9, 0.0]], guidance_scale=3.0, steps=2, eta=1.0, seeds=[0])
        for model in (pipeline, Zero123Pipeline.from_pretrained(tmp_path / "model"))
    ]
    assert np.array_equal(*views)
    with pytest.raises(UsageError, match=r"model.unet: expected block_out_channels"):
        build_pipeline(wanted.model_copy(update={"unet": wanted.unet.model_copy(update={"channels": (8, 32)})}), 0)


def test_moved_base_model_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").mkdir()
    monkeypatch.chdir(tmp_path / "one")
    base_model(Path("base"))
    build_pipeline(settings(weights="base", **BASED), 0).save_pretrained("model")
    (tmp_path / "one").rename(tmp_path / "other")
    monkeypatch.chdir(tmp_path / "other")
    assert Zero123Pipeline.from_pretrained("model")
    monkeypatch.chdir(tmp_path)
    sentence = f"vae: expected the base model in base or {tmp_path / 'one' / 'base'}, got no such folders"
    refused(tmp_path / "other" / "model", sentence)


@pytest.mark.parametrize("part", ["vae", "image_encoder"])
def test_frozen_parts_that_became_others_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """Named by a relative path when it was trained, the model is found from another folder."""
    monkeypatch.chdir(tmp_path)
    base_model(Path("base"))
    build_pipeline(settings(weights="base", **BASED), 0).save_pretrained("model")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert set(Zero123Pipeline.from_pretrained(tmp_path / "model").references) == {"vae", "image_encoder"}
    (path,) = (tmp_path / "base" / part).glob("*.safetensors")
    tensors = load_file(path)
    tensors[min(tensors)] += 1.0
    save_file(tensors, path, metadata={"format": "pt"})
    refused(tmp_path / "model", f"{part}: expected the weights that it was trained with, got others in {part} of ")
    index = tmp_path / "model" / "model_index.json"
    facts = json.loads(index.read_text())["_zero123"]
    del facts["references"][part]["sha256"]
    changed(index, _zero123=facts)
    assert Zero123Pipeline.from_pretrained(tmp_path / "model"), "as before digests were noted"


def test_weights_that_are_nowhere_are_named() -> None:
    with pytest.raises(
        Failure, match=r"model.weights: expected a folder or a hub id such as owner/name, got '/nowhere'"
    ):
        build_pipeline(settings(weights="/nowhere"), 0)
