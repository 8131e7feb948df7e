"""The memory of a training run, counted from its parts."""

from typing import Any

import pytest

from app.settings import load_settings
from bench.memory import count_bytes
from zero123.build import build_pipeline
from zero123.trained import trained_parameters

LORA = ["train.init=mini", 'train.lora={"rank": 2, "alpha": 2.0, "targets": ["conv1", "to_q"]}']


def count(*changes: str) -> dict[str, Any]:
    return count_bytes(load_settings(None, ["tiny"], list(changes)))


def test_trained_parts_are_those_of_the_real_model() -> None:
    parts = count("train.images_at_once=2")
    pipeline = build_pipeline(load_settings(None, ["tiny"]).model, 0)
    trained = 4 * sum(parameter.numel() for parameter in trained_parameters(pipeline).values())
    assert parts["trained weights"] == parts["gradients"] == parts["averages"] == trained
    assert parts["AdamW's moments"] == 2 * trained
    every = 4 * sum(p.numel() for module in pipeline.modules().values() for p in module.parameters())
    assert parts["frozen weights"] + trained == every


def test_activations_grow_with_the_images() -> None:
    two, four = (count(f"train.images_at_once={n}")[f"activations of {n} images"] for n in (2, 4))
    assert four == pytest.approx(2 * two, rel=0.02)


def test_adapters_need_little() -> None:
    pytest.importorskip("peft")
    whole, adapted = count(), count(*LORA)
    assert adapted["gradients"] < 0.2 * whole["gradients"]
    pipeline = build_pipeline(load_settings(None, ["tiny"]).model, 0)
    beside = sum(p.numel() for name, p in trained_parameters(pipeline).items() if not name.startswith("unet."))
    assert adapted["frozen weights"] == whole["frozen weights"] + whole["trained weights"] - 4 * beside


def test_the_preset_for_a_small_gpu_fits_it() -> None:
    pytest.importorskip("peft")
    parts = count_bytes(load_settings(None, ["paper", "lora"]))
    assert sum(parts.values()) < 11e9
