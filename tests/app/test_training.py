"""`zero123 train`: what it was asked for stands beside the run from before its first step."""

import argparse
from pathlib import Path

import pytest
import yaml

from app.commands import train as command
from base.errors import Failure, UsageError
from tests.train.runs import make_dataset
from train.step import Stepper

SMALLEST = (
    "model.hw=[32,32]", "model.image_encoder.channels=[16]", "model.unet.channels=[16,32]",
    "model.unet.attention=[false,true]", "train.images=8", "train.batch=8", "train.images_at_once=8", "train.threads=1",
    "train.validation.every_images=0", "train.log.tensorboard=false",
)  # fmt: skip


def train(out: Path, *settings: str) -> None:
    parser = argparse.ArgumentParser()
    command.configure(parser)
    words = [word for setting in (*SMALLEST, *settings) for word in ("--set", setting)]
    command.run(parser.parse_args(["--preset", "tiny", "--out", str(out), *words]))


def test_settings_are_saved_before_the_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, out = make_dataset(tmp_path / "dataset").root, tmp_path / "out"

    def saved_log_every() -> int:
        return yaml.safe_load((out / "settings.yaml").read_text())["metadata"]["pipeline"]["train"]["log_every_images"]

    with monkeypatch.context() as patched:
        patched.setattr(Stepper, "take", _power_cut)
        with pytest.raises(Failure, match="power cut"):
            train(out, f"storage.root={root}", "train.log_every_images=8")
    assert saved_log_every() == 8
    train(out, f"storage.root={root}", "train.log_every_images=16")
    assert saved_log_every() == 16
    with pytest.raises(UsageError, match=r"train.seed: expected 0, with which the run"):
        train(out, f"storage.root={root}", "train.log_every_images=24", "train.seed=1")
    assert saved_log_every() == 16


def _power_cut(*_: object) -> None:
    raise Failure("power cut")
