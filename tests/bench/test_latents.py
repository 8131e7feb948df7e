"""The benchmark of cached latents at the smallest size: every part is measured, on what training reads."""

import json
from pathlib import Path

import pytest
import torch

from bench import latents


def test_each_part_has_its_rates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = torch.get_num_threads()
    out = tmp_path / "result.json"
    sizes = ["--objects", "3", "--images", "64", "--rounds", "1"]
    words = ["--preset", "tiny", "--set", "train.stream.workers=1", *sizes, "--json", str(out)]
    monkeypatch.setattr("sys.argv", ["latents", *words])
    assert latents.main() == 0
    torch.set_num_threads(threads)
    told = json.loads(out.read_text())
    assert len(told["parts"]) == 3
    for part, rates in told["parts"].items():
        assert rates == told["rounds"][0][part]
        assert min(rates.values()) > 0.0
