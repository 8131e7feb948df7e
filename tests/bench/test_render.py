"""The render benchmark at a tiny size: both sides rendered, compared and written down."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from render.phases import PHASES

ROOT = Path(__file__).parents[2]
SMALL = ["--objects", "1", "--views", "3", "--reference-samples", "64", "--set", "render.hw=[48,48]"]


def run(folder: Path, *flags: str) -> dict:
    out = folder / "result.json"
    command = [sys.executable, "-m", "bench.render", *SMALL, *flags, "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


@pytest.mark.slow
def test_both_sides_are_told_with_their_phases_and_likeness(tmp_path) -> None:
    result = run(tmp_path, "--legacy-views", "2", "--references", str(tmp_path / "kept"))
    assert result["ratio"] == pytest.approx(result["per_view"]["legacy"]["cpu_s"] / result["per_view"]["ours"]["cpu_s"])
    assert result["psnr_db"] > 20.0
    assert result["median"]["legacy"]["psnr_db"] > 20.0
    assert result["views"] == 3
    assert result["legacy_views_rendered"] == 2
    assert result["objects"] == 1
    for side in ("ours", "legacy"):
        assert list(result["wall_s_per_object"][side]) == list(PHASES)
    assert result["settings"]["legacy"]["samples"] == 128
    assert result["settings"]["legacy"]["object_rectangle"] is False
    assert len(list((tmp_path / "kept").iterdir())) == 2  # a scene each, and nothing half made
    assert result["versions"]
    assert result["machine"]
