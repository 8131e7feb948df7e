"""Low-rank adapters: trained alone, merged into checkpoints, kept apart, and continued after a stop."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from base.errors import Failure, UsageError
from base.progress import SILENT
from base.storage import Storage
from tests.train.runs import make_dataset, model_settings, train, train_settings
from tests.train.test_loop import same_state
from train.settings import LoraSettings
from zero123.build import build_pipeline
from zero123.lora import add_adapters, merged_adapters
from zero123.model import trained_parts
from zero123.pipeline import Zero123Pipeline
from zero123.trained import trained_parameters

pytest.importorskip("peft")
LORA: dict[str, Any] = {"rank": 2, "alpha": 4.0, "targets": ["conv1", "to_q", "to_v"]}


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    return make_dataset(tmp_path_factory.mktemp("lora") / "dataset")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "model"
    speaking_pipeline().save_pretrained(folder)
    return folder


def speaking_pipeline() -> Zero123Pipeline:
    """A model whose last layer is not zero, as that of a new model is: it answers, and lets gradients through."""
    pipeline = build_pipeline(model_settings(), 3)
    with torch.no_grad():
        pipeline.unet.conv_out.weight.normal_(std=0.1, generator=torch.Generator().manual_seed(0))
    return pipeline


def learn(base: Path, storage: Storage, out: Path, images: int, **changes: Any) -> Path:
    settings = train_settings(images=images, init=str(base), lora=LORA, checkpoint_every_images=16, **changes)
    return train(model_settings(), settings, storage, out, SILENT).checkpoint


def views(pipeline: Zero123Pipeline) -> torch.Tensor:
    rgba = torch.randint(0, 256, (32, 32, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    poses = [[0.1, 0.5, 0.8, 0.0], [-0.2, 0.0, 1.0, 0.1]]
    return torch.tensor(pipeline.views(rgba.numpy(), poses, guidance_scale=1.0, steps=2, eta=0.0, seeds=[0, 1])).float()


def test_new_adapters_change_no_answer_and_are_all_that_the_unet_learns() -> None:
    plain, adapted = speaking_pipeline(), speaking_pipeline()
    add_adapters(adapted, 2, 4.0, ("conv1", "to_q", "to_v"), seed=0)
    assert torch.equal(views(plain), views(adapted))
    unet = [name for name in trained_parameters(adapted) if name.startswith("unet.")]
    assert unet
    assert all(".lora_A." in name or ".lora_B." in name for name in unet)
    assert not any(".attn2.to_q." in name for name in unet), "it has no influence with a single token"
    assert {name.split(".")[0] for name in trained_parameters(adapted)} == set(trained_parts(adapted))


def test_merged_adapters_answer_as_the_layers_do() -> None:
    pipeline = build_pipeline(model_settings(), 0)
    before = views(pipeline)
    add_adapters(pipeline, 2, 4.0, ("conv1", "conv_in", "to_out.0", "conv_out"), seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():  # the last layer of a new model is zero
        for parameter in trained_parameters(pipeline).values():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    apart = views(pipeline)
    with merged_adapters(pipeline):
        assert not any("lora" in name for name in pipeline.unet.state_dict())
        assert (views(pipeline) - apart).abs().max() <= 1.0
    assert (apart - before).abs().max() > 4.0
    assert any("lora" in name for name in pipeline.unet.state_dict()), "they are apart again"


def test_a_run_freezes_the_base_and_its_checkpoint_is_merged(base: Path, storage: Storage, tmp_path: Path) -> None:
    made = Zero123Pipeline.from_pretrained(learn(base, storage, tmp_path, 32))
    before = Zero123Pipeline.from_pretrained(base)
    old, new = before.unet.state_dict(), made.unet.state_dict()
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert changed
    assert all(any(f".{part}.weight" in name for part in LORA["targets"]) for name in changed)
    assert not torch.equal(before.cc_projection.projection.weight, made.cc_projection.projection.weight)


def test_a_stopped_run_continues_to_the_same_bits(base: Path, storage: Storage, tmp_path: Path) -> None:
    learn(base, storage, tmp_path / "parts", 16)
    same_state(learn(base, storage, tmp_path / "parts", 32), learn(base, storage, tmp_path / "whole", 32))


def test_an_adapter_opens_on_its_base_and_on_no_other(base: Path, storage: Storage, tmp_path: Path) -> None:
    checkpoint = learn(base, storage, tmp_path, 16)
    apart = checkpoint / "lora"
    assert not any(".base_layer." in name for name in load_file(apart / "adapter.safetensors"))
    merged, opened = (Zero123Pipeline.from_pretrained(folder) for folder in (checkpoint, apart))
    assert torch.equal(views(merged), views(opened))
    described = json.loads((apart / "adapter.json").read_text())
    (apart / "adapter.json").write_text(json.dumps(described | {"base_digest": "0" * 16}))
    with pytest.raises(Failure, match=r"adapter.json: expected the base .* with the digest 0{16}, got .* have changed"):
        Zero123Pipeline.from_pretrained(apart)
    with pytest.raises(Failure, match="its weights have changed"):
        learn(base, storage, tmp_path, 32)
    (apart / "adapter.json").write_text(json.dumps(described | {"rank": "two"}))
    with pytest.raises(Failure, match=r"adapter.json: expected an adapter, got: .*rank"):
        Zero123Pipeline.from_pretrained(apart)
    (apart / "adapter.json").write_text(json.dumps(described | {"rank": 10**9}))
    with pytest.raises(Failure, match=r"adapter.json: expected an adapter, got: .*a rank from 1 to 1024"):
        Zero123Pipeline.from_pretrained(apart)
    # No file decides what is fetched.
    for elsewhere in ("zero123-105000", "somebody/model", "gone"):
        (apart / "adapter.json").write_text(json.dumps(described | {"base": elsewhere}))
        with pytest.raises(Failure, match=f"expected the adapter's base {elsewhere} on this machine, got nothing"):
            Zero123Pipeline.from_pretrained(apart)


def test_wrong_adapters_are_a_sentence(base: Path, storage: Storage, tmp_path: Path) -> None:
    settings = train_settings(images=8, init=str(base), lora={**LORA, "targets": ["to_nothing"]})
    with pytest.raises(UsageError, match=r"train\.lora\.targets: expected ends of names .*, got to_nothing"):
        train(model_settings(), settings, storage, tmp_path, SILENT)
    with pytest.raises(ValidationError):
        LoraSettings(rank=0, alpha=1.0, targets=("to_q",))
    with pytest.raises(UsageError, match="init with lora: adapters belong to the weights of a model"):
        train_settings(lora=LORA)
