"""Measure `zero123 demo`: wall seconds and peak memory of each stage, from a fresh run in its own process.

python -m bench.demo [--out DIR] [--json FILE] [flags of `zero123 demo`, such as --set train.images=1600]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from base.versions import machine, versions


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, metavar="DIR", help="an empty folder to keep the run in (default: deleted)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options, passed_on = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as scratch:
        out = options.out or Path(scratch) / "demo"
        if out.exists() and any(out.iterdir()):
            parser.error(f"--out {out}: expected an empty folder, so that every stage really runs")
        return _report(out, options.json, passed_on)


def _report(out: Path, json_path: Path | None, passed_on: list[str]) -> int:
    command = [sys.executable, "-m", "app", "demo", "--out", str(out), *passed_on]
    # `os.times` counts children only after they have ended, so it is read before and after.
    before, started = os.times(), time.monotonic()
    code = subprocess.run(command, check=False).returncode
    after, seconds = os.times(), time.monotonic() - started
    # 1 means a missed goal, and the costs are as valid.
    if code not in (0, 1) or not (out / "report.json").exists():
        print(f"the demo ended with exit code {code} and left no report", file=sys.stderr)
        return 1
    numbers = json.loads((out / "report.json").read_text())
    stages = numbers["stages"]
    rows = [(name, stage["seconds"], stage["peak_bytes"] / 1e6) for name, stage in stages.items()]
    rows.append(("whole process", seconds, numbers["total"]["peak_bytes"] / 1e6))
    print(f"{'stage':<14} {'seconds':>9} {'peak MB':>9}")
    for name, wall_s, peak_mb in rows:
        print(f"{name:<14} {wall_s:>9.1f} {peak_mb:>9,.0f}")
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    print(f"CPU seconds of the demo and the children it waited for: {cpu_s:.0f}")
    if json_path:
        result = {
            "stages": stages,
            "seconds": seconds,
            "novel_views": numbers["novel_views"],
            "mesh": numbers["mesh"],
            "machine": machine(),
            "versions": versions(),
            "settings": yaml.safe_load((out / "settings.yaml").read_text()),
            "settings_digest": numbers["settings_digest"],
        }
        json_path.write_text(json.dumps(result, indent=2) + "\n")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
