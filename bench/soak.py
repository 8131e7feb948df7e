"""The reliability tests at full counts: every part stopped, killed and failed again and again, and what it ends as.

python -m bench.soak [--times N] [--json FILE] [--fresh]

What passed is kept in runs/soak for these sources and this N: the same command again goes on from there. The figures
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
    *("app", "base", "evaluation", "geometry", "pipeline", "reconstruct", "render"),
    *("report", "shards", "tests", "train", "zero123"),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--times",
        type=int,
        default=50,
        metavar="N",
        help="faults of a kind, fewer of slow ones (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--fresh", action="store_true", help="repeat also what passed before")
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
    """The command that runs the tests, or those of them that are not among what is `found` already.

    Options are one word each: a file that is there, in a word of its own, is one of tests to pytest.
    """
    return [sys.executable, "-m", "pytest", "-m", "soak", f"--times={times}", f"--figures={found}"]


def sources_digest() -> str:
    """16 digits of all that the outcome may depend on."""
    files = sorted(path for room in SOURCES for path in (ROOT / room).rglob("*.py"))
    return digest_json({str(path.relative_to(ROOT)): sha256_file(path) for path in [*files, ROOT / "pipeline.yaml"]})


def page(result: Mapping[str, Any]) -> str:
    """The figures as docs/reliability.md, under what each file of tests says of itself."""
    about = result["machine"]
    lines = [
        "# Reliability",
        "",
        f"Written by `python -m bench.soak --times {result['times']}`: so many faults of a kind, fewer of slow ones; "
        f"{result['seconds']} s on {about['cores']} cores of {about['processor']}, for the sources of digest "
        f"`{result['sources']}`. {'Every test passed' if result['passed'] else 'NOT EVERY TEST PASSED'}.",
        *(f"\n- not passed: `{test}`" for test in result["failed"]),
    ]
    for name, tests in groupby(sorted(result["figures"].items()), key=lambda pair: pair[0].partition("::")[0]):
        lines += ["", f"## {name}", "", _said(ROOT / name), "", "| test | figure | |", "|---|---|---|"]
        for test, figures in tests:
            lines += [f"| {_words(test)} | {figure} | {value} |" for figure, value in figures.items()]
    return "\n".join([*lines, ""])


def _said(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "") if path.exists() else ""


def _words(test: str) -> str:
    return test.partition("::test_")[2].replace("_", " ").replace("[", ": ").rstrip("]")


if __name__ == "__main__":
    sys.exit(main())
