"""The overhead benchmark at a tiny size: every object is rendered by each of the four sides."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "bench.overhead", "--views", "2", "--set", "render.hw=[32,32]", "--objects", "3"]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.mark.slow  # it starts Ray and Blender eight times
def test_overhead_sides_and_ratios(tmp_path: Path) -> None:
    done = run("--rounds", "2", "--json", str(tmp_path / "result.json"))
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    objects = dict.fromkeys((row["side"] for row in result["rows"]), 0)
    for row in result["rounds"]:
        objects[row["side"]] += row["objects"]
    assert list(objects.values()) == [3, 3, 3, 3]
    bare, two_bare, one, two = (row["s"] for row in result["rows"])
    assert result["overhead"] == pytest.approx(one / bare - 1.0)
    assert (result["gain"], result["ceiling"]) == (pytest.approx(one / two), pytest.approx(bare / two_bare))


def test_more_rounds_than_objects_are_refused() -> None:
    done = run("--rounds", "4")
    assert done.returncode == 2
    assert "--rounds: expected 1 to as many as objects (3), got 4" in done.stderr
