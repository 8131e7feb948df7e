"""Run the reliability tests at full counts: stop, kill and fail every part again and again, and check the end.

python -m bench.soak [--times N] [--json FILE] [--fresh]

Passed tests are kept in runs/soak for these sources and this N: the same command again goes on from there. The figures
are also written to docs/reliability.md.
"""

import argparse
import ast
import json
import subprocess
import sys
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from base.digest import digest_json, sha256_file
from base.versions import machine, versions

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reliability.md"
KEPT = ROOT / "runs" / "soak"
SOURCES = (
    *("app", "base", "evaluation", "geometry", "inference", "photo", "pipeline", "reconstruct", "render"),
    *("report", "shards", "tests", "train", "web", "zero123"),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--times",
        type=int,
        default=50,
        metavar="N",
        help="faults of each kind, fewer where a fault is slow (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--fresh", action="store_true", help="repeat passed tests, too")
    options = parser.parse_args()
    sources = sources_digest()
    found = KEPT / f"{options.times}-{sources}.json"
    found.parent.mkdir(parents=True, exist_ok=True)
    if options.fresh:
        found.unlink(missing_ok=True)
    code = subprocess.run(command(options.times, found), cwd=ROOT, check=False).returncode
    kept = json.loads(found.read_text()) if found.exists() else {"passed": {}, "failed": [], "figures": {}}
    seconds, passed = round(sum(kept["passed"].values())), code in (0, NOTHING_LEFT) and bool(kept["passed"])
    print(f"{seconds} s for {options.times} faults of a kind: {'passed' if passed else 'FAILED'}")
    result = {
        "times": options.times,
        "seconds": seconds,
        "passed": passed,
        "failed": kept["failed"],
        "sources": sources,
        "figures": kept["figures"],
        "machine": machine(),
        "versions": versions(),
    }
    PAGE.write_text(page(result), encoding="utf-8")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0 if passed else 1


NOTHING_LEFT = 5
"""pytest's exit code when all tests passed before."""


def command(times: int, found: Path) -> list[str]:
    """Return the pytest command for the tests not yet in `found`.

    Each option is a single word: pytest would take an existing file in a word of its own for a test file.
    """
    return [sys.executable, "-m", "pytest", "-m", "soak", f"--times={times}", f"--figures={found}"]


def sources_digest() -> str:
    """Return 16 digits of the sources and settings behind the outcome."""
    files = sorted(path for folder in SOURCES for path in (ROOT / folder).rglob("*.py"))
    # Passed tests count only for the code they ran on.
    return digest_json({str(path.relative_to(ROOT)): sha256_file(path) for path in [*files, ROOT / "pipeline.yaml"]})


def page(result: Mapping[str, Any]) -> str:
    """Write docs/reliability.md: a summary, then the figures of each test file under its docstring."""
    about = result["machine"]
    lines = [
        "# Reliability",
        "",
        f"Written by `python -m bench.soak --times {result['times']}`: up to this many faults of each kind; "
        f"{result['seconds']} s on {about['cores']} cores of {about['processor']}, for the sources of digest "
        f"`{result['sources']}`. {'Every test passed' if result['passed'] else 'NOT EVERY TEST PASSED'}.",
        *(f"\n- not passed: `{test}`" for test in result["failed"]),
        "",
        *summary(result["figures"]),
    ]
    for name, tests in groupby(sorted(result["figures"].items()), key=lambda pair: pair[0].partition("::")[0]):
        lines += ["", f"## {name}", "", _docstring(ROOT / name), "", "| test | figure | |", "|---|---|---|"]
        for test, figures in tests:
            lines += [f"| {_words(test)} | {figure} | {value} |" for figure, value in figures.items()]
    return "\n".join([*lines, ""])


SUMS = {
    "kills": "processes and nodes killed; each build still ended in the bytes of an undisturbed build",
    "objects that met": "objects met by a failing server; each ended as expected",
    "healthy objects": "healthy objects beside poison objects; each was rendered once",
    "looks of the reader": "reads of a dataset during the faults, without damage",
    "calls that met": "storage calls that failed; each was retried or reported",
}
"""Figures to add up over all tests, by the beginning of their names, and the meaning of the sum."""


def summary(figures: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Sum up the figures in at most ten lines: tests with figures, then the sums of `SUMS`."""
    lines = [f"- {len(figures)} tests with figures in {len({name.partition('::')[0] for name in figures})} files."]
    for opening, meaning in SUMS.items():
        values = [value for of_test in figures.values() for name, value in of_test.items() if name.startswith(opening)]
        total = sum(value for value in values if isinstance(value, int))
        lines += [f"- {total:,} {meaning}."] if total else []
    return lines


def _docstring(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "") if path.exists() else ""


def _words(test: str) -> str:
    return test.partition("::test_")[2].replace("_", " ").replace("[", ": ").rstrip("]")


if __name__ == "__main__":
    sys.exit(main())
