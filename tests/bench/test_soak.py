"""The reliability tests go on where they were stopped."""

import json
import subprocess
from pathlib import Path

import pytest

from bench.soak import ROOT, command, summary

PASSED = "tests/pipeline/test_poison.py::test_poison_harms_nobody_else"


def collect(found: Path) -> set[str]:
    # A single folder: to collect all tests takes 30 CPU seconds.
    line = [*command(2, found), "--collect-only", "tests/pipeline"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {line for line in done.stdout.splitlines() if "::" in line}


@pytest.mark.slow
def test_what_passed_is_not_collected_again(tmp_path: Path) -> None:
    every = collect(tmp_path / "nothing.json")
    assert PASSED in every
    found = tmp_path / "found.json"
    found.write_text(json.dumps({"passed": {PASSED: 1.0}, "figures": {}}))
    assert collect(found) == every - {PASSED}


def test_the_page_opens_with_sums_of_at_most_ten_lines() -> None:
    figures = {
        "tests/a.py::test_one": {"kills, after which it ended the same": 3, "seconds": 9},
        "tests/a.py::test_two": {"kills, each followed by the same": 4, "objects recorded": "0 after 2"},
        "tests/b.py::test_three": {"calls that met 503": 1000, "calls that met 500": 234},
    }
    lines = summary(figures)
    assert len(lines) <= 10
    assert lines[0] == "- 3 tests with figures in 2 files."
    assert [line.split()[1] for line in lines[1:]] == ["7", "1,234"]
