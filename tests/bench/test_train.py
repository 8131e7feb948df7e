"""The training benchmark at the smallest size: every side takes its step and is counted alike."""

from contextlib import closing

import pytest
import torch

from app.settings import load_settings
from bench.train import PHASES, Phases, Side, all_sides, bytes_of_others, host_parts, measure, table
from zero123.build import build_pipeline
from zero123.trained import trained_parameters

SMALLEST = [
    "model.hw=[32,32]", "model.image_encoder.channels=[16]", "model.unet.channels=[16,32]",
    "model.unet.attention=[false,true]", "train.batch=4", "train.images_at_once=2", "train.threads=1",
]  # fmt: skip


def test_every_side_takes_its_step_and_is_counted_alike() -> None:
    result = measure(load_settings(None, ["tiny"], SMALLEST), rounds=1, steps=1)
    sides = result["sides"]
    assert list(sides) == ["ours, cached", "ours, in the loop", "plain, fp32"]
    loop = {sides[name]["gflop_per_image"] for name in list(sides)[1:]}
    assert len(loop) == 1
    assert sides["ours, cached"]["gflop_per_image"] < loop.pop()
    for name, side in sides.items():
        assert set(side["ms_per_phase"]) == set(PHASES)
        assert side["ms_per_phase"]["backward"] > 0, name
        assert side["mfu"] is None
        assert name in table(result)
    assert sides["ours, cached"]["ms_per_phase"]["encode"] < sides["ours, in the loop"]["ms_per_phase"]["encode"]
    assert result["ratio"]["plain, fp32 / plain, fp32"] == 1.0


def test_peak_memory_excludes_other_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    shared, mine, theirs = torch.zeros(100), torch.zeros(1000), torch.zeros(10_000)
    clock = Phases(torch.device("cuda"))
    ours = Side("ours", lambda: None, 1.0, clock, lambda: iter((shared, mine, mine[:10])))
    other = Side("other", lambda: None, 1.0, clock, lambda: iter((theirs, shared, theirs[5:])))
    assert (bytes_of_others(ours, (ours, other)), bytes_of_others(other, (ours, other))) == (40_000, 4_000)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda _device: None)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _device: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _device: 1_040_000)
    ours.others_bytes = bytes_of_others(ours, (ours, other))
    ours.run(1, 1)
    assert ours.peak_mb == 1.0


def test_a_side_keeps_weights_two_moments_and_averages() -> None:
    settings, cpu = load_settings(None, ["tiny"], SMALLEST), torch.device("cpu")
    pipeline = build_pipeline(settings.model, 0)
    with closing(host_parts(pipeline, settings, cpu)) as parts:
        sides = all_sides(pipeline, settings, parts, cpu)
        for side in sides:
            side.take()
    learnt = sum(value.nbytes for value in trained_parameters(pipeline).values())
    cached, loop, plain = (bytes_of_others(side, sides) for side in sides)
    assert cached == loop
    for others in (cached, plain):
        assert 3.5 * learnt < others < 4.5 * learnt
