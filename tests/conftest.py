"""What every test shares: quiet libraries, few threads, no telemetry, the order of tests, `make soak`'s counts."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

# Before any test imports numpy, torch or Ray: they read these once.
THREADS = str(min(2, os.cpu_count() or 1))
os.environ.update(
    OMP_NUM_THREADS=THREADS,
    OPENBLAS_NUM_THREADS=THREADS,
    MKL_NUM_THREADS=THREADS,
    HF_HUB_OFFLINE="1",
    RAY_USAGE_STATS_ENABLED="0",
    RAY_USAGE_STATS_REPORT_URL="http://127.0.0.1:9/",  # a Ray head says "disabled" once, even when it is
    RAY_worker_niceness="0",  # at Ray's own 15 a busy machine has tests wait for minutes
)

# A shell that starts a job in the background has it ignore Ctrl-C, and `nohup` a closed terminal: what tests are about.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

import hypothesis  # noqa: E402
import pytest  # noqa: E402

from base.storage import write_atomically  # noqa: E402

FIGURES = pytest.StashKey[dict[str, dict[str, str]]]()
PASSED = pytest.StashKey[dict[str, float]]()
FAILED = pytest.StashKey[list[str]]()
# Cheap rooms first, so that a slip shows within seconds; what starts Blender, Ray or the whole chain comes last.
ORDER = (
    "base", "geometry", "shards", "report", "zero123", "train",
    "evaluation", "reconstruct", "render", "pipeline", "app",
)  # fmt: skip

hypothesis.settings.register_profile("repeatable", derandomize=True, database=None, deadline=None, max_examples=50)
hypothesis.settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--times", type=int, default=1, metavar="N", help="repeat faults N times as often (make soak)")
    parser.addoption(
        "--figures", type=Path, metavar="FILE", help="keep what passed and its figures, as JSON, and do not repeat it"
    )


def pytest_configure(config: pytest.Config) -> None:
    file = config.getoption("--figures")
    kept = json.loads(file.read_text()) if file and file.exists() else {}
    config.stash[FIGURES], config.stash[PASSED] = kept.get("figures", {}), kept.get("passed", {})
    config.stash[FAILED] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    passed = [item for item in items if item.nodeid in config.stash[PASSED]]
    config.hook.pytest_deselected(items=passed)
    items[:] = [item for item in items if item not in passed]
    items.sort(key=lambda item: (item.get_closest_marker("chain") is not None, _room(item)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    file, stash = item.config.getoption("--figures"), item.config.stash
    if report.failed:
        stash[FAILED].append(item.nodeid)
    elif call.when == "call" and report.passed:
        stash[PASSED][item.nodeid] = report.duration
    if file and call.when == "call":
        kept = {"passed": stash[PASSED], "failed": stash[FAILED], "figures": stash[FIGURES]}
        write_atomically(file, json.dumps(kept, indent=2).encode() + b"\n")
    return report


def _room(item: pytest.Item) -> int:
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    return ORDER.index(folder) if folder in ORDER else -1


@pytest.fixture(scope="session")
def times(request: pytest.FixtureRequest) -> int:
    """How many times as many faults, kills or draws as in `make test`."""
    return int(request.config.getoption("--times"))


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str, object], None]:
    """Note a figure of this test: `figure("kills", 40)` stands in the table at the end of the run."""

    def note(name: str, value: object) -> None:
        request.config.stash[FIGURES].setdefault(request.node.nodeid, {})[name] = str(value)

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for test, figures in config.stash[FIGURES].items():
        for name, value in figures.items():
            terminalreporter.write_line(f"{value:>12}  {test} {name}")
