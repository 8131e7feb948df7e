"""The reliability tests at full counts: the whole chain stopped anywhere, again and again, and what it ends as.

python -m bench.soak [--times N] [--json FILE]

The figures are also written to docs/reliability.md.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from base.versions import machine, versions

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reliability.md"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20, metavar="N", help="repetitions (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        found, started = Path(scratch) / "figures.json", time.monotonic()
        line = [sys.executable, "-m", "pytest", "-m", "soak and not server", "--times", str(options.times)]
        code = subprocess.run([*line, "--figures", str(found)], cwd=ROOT, check=False).returncode
        seconds = time.monotonic() - started
        figures = json.loads(found.read_text()) if found.exists() else {}
    print(f"{seconds:.0f} s at {options.times} repetitions: {'passed' if code == 0 else 'FAILED'}")
    result = {
        "times": options.times,
        "seconds": round(seconds),
        "passed": code == 0,
        "figures": figures,
        "machine": machine(),
        "versions": versions(),
    }
    PAGE.write_text(_page(result), encoding="utf-8")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return code


def _page(result: dict[str, Any]) -> str:
    about = result["machine"]
    rows = [f"| {name.partition('::')[2]} | {value} |" for name, value in result["figures"].items()]
    return "\n".join(
        [
            "# Reliability",
            "",
            f"Written by `make soak`: {result['times']} repetitions, {result['seconds']} s, {about['cores']} cores of "
            f"{about['processor']}. Every repetition {'passed' if result['passed'] else 'DID NOT PASS'}.",
            "",
            "| test and figure | |",
            "|---|---|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
