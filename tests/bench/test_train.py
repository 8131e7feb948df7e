"""The training benchmark at the smallest size: every side takes its step and is counted alike."""

from app.settings import load_settings
from bench.train import PHASES, measured, table

SMALLEST = [
    "model.hw=[32,32]", "model.image_encoder.channels=[16]", "model.unet.channels=[16,32]",
    "model.unet.attention=[false,true]", "train.batch=4", "train.images_at_once=2", "train.threads=1",
]  # fmt: skip


def test_every_side_takes_its_step_and_is_counted_alike() -> None:
    result = measured(load_settings(None, ["tiny"], SMALLEST), rounds=1, steps=1)
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
