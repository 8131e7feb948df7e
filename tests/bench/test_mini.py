"""Packaging a trained model: its weights in half precision and its card."""

from pathlib import Path

import pytest

from base.errors import Failure
from base.progress import SILENT
from bench import mini
from tests.train.runs import make_dataset, model_settings, train, train_settings
from zero123.pipeline import Zero123Pipeline

MEANS = {"model": 18.25, "input": 15.5, "white": 13.0, "training_mean": 14.125}
VALUES = {
    "pairs": 12,
    "psnr_db": MEANS,
    "ssim": dict.fromkeys(MEANS, 0.5),
    "haarpsi_distance": dict.fromkeys(MEANS, 0.25),
    "feature_distance": {},
    "training_objects": 100,
    "network": None,
    "margin_db": 2.75,
    "settings": {"evaluate": {"steps": 1}},
    "near": {"degrees": 30.0, "pairs": 2, "psnr_db": {"model": 21.0, "input": 19.5}},
}


def test_the_card_tells_figures_and_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = make_dataset(tmp_path / "dataset")
    train(model_settings(), train_settings(images=8), storage, tmp_path / "run", SILENT)
    out = tmp_path / "weights" / "mini"
    mini.package(tmp_path / "run", [("scans", VALUES)], "Made of squares.", "zero123 train --preset mini", out)
    card = (out / "README.md").read_text()
    assert card.startswith("# mini\n")
    for words in (
        "32 × 32 pixels",
        "Made of squares.",
        "had 8 images",
        "| 12 views of scans",
        "18.25",
        "+2.75 dB",
        "in 1 step.",
    ):
        assert words in card, words
    assert "at most 30° apart, the model has 21.00 dB and the input as it is 19.50 dB" in card
    assert "```sh\nzero123 train --preset mini\n```" in card
    assert tuple(Zero123Pipeline.from_pretrained(out).hw) == (32, 32)
    monkeypatch.setattr(mini, "LIMIT_BYTES", 1000)
    with pytest.raises(Failure, match=r"expected at most 1,000 bytes, got \d"):
        mini.package(tmp_path / "run", [], "", "", out)


def test_a_result_has_a_name() -> None:
    with pytest.raises(Failure, match=r"--evaluation: expected NAME=FILE\.json, got 'val\.json'"):
        mini.read_result("val.json")
