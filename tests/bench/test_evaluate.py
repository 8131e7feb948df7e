"""The benchmark of scoring on a small set in the form of SD-30."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from bench import evaluate
from tests.evaluation.small_sd30 import write_small_sd30


@pytest.mark.slow
def test_each_side_scores_all_objects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_small_sd30(tmp_path / "made")
    for shape, uid in (("egg", "bell"), ("brick", "blocks")):  # names that the protocol of meshes lists
        shutil.copytree(data / shape, tmp_path / "sd30" / uid)
    flags = ["--data", str(tmp_path / "sd30"), "--json", str(tmp_path / "result.json")]
    monkeypatch.setattr(sys, "argv", ["evaluate", *flags])
    assert evaluate.main() == 0
    result = json.loads((tmp_path / "result.json").read_text())
    rows = result["rows"]
    assert [(row["what"], row["objects"], row["workers"]) for row in rows] == [
        ("meshes", 2, 1), ("meshes", 2, 2), ("views", 2, 1), ("views", 2, 2)
    ]  # fmt: skip
    for gain, one, two in zip(result["gains"], rows[::2], rows[1::2], strict=True):
        assert gain["wall"] == pytest.approx(one["wall_s"] / two["wall_s"])
        assert gain["cpu"] == pytest.approx(2.0 * one["cpu_s"] / two["cpu_s"])
        # Measuring is the workers' work, and it is counted although they are no children of this process.
        assert two["own_cpu_s"] < 0.5 * two["cpu_s"]
        assert gain["serial"] == pytest.approx(two["own_cpu_s"] / two["cpu_s"])
    assert rows[1]["per_hour_by_cpu"] == pytest.approx(3600.0 * 2 * 2 / rows[1]["cpu_s"])
    assert all(row["cpu_s"] > 0.0 for row in rows)
    assert "objects per hour" in capsys.readouterr().out
