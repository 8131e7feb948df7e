"""The reliability tests go on where they were stopped."""

import json
import subprocess
from pathlib import Path

from bench.soak import ROOT, command

PASSED = "tests/pipeline/test_poison.py::test_poison_harms_nobody_else"


def test_what_passed_is_not_collected_again(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    found.write_text(json.dumps({"passed": {PASSED: 1.0}, "figures": {}}))
    done = subprocess.run([*command(2, found), "--collect-only"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    left = [line for line in done.stdout.splitlines() if "::" in line]
    assert len(left) > 20
    assert PASSED not in left
