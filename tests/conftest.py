"""What every test shares: quiet libraries, few threads, no telemetry, the order of tests, `make soak`'s counts."""

import json
import multiprocessing.util
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

# Before any test imports numpy, torch or Ray: they read these once.
# Processes of pytest-xdist with two threads each would wait for each other: threads that wait spin.
THREADS = "1" if "PYTEST_XDIST_WORKER" in os.environ else str(min(2, os.cpu_count() or 1))
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
import jaxtyping  # noqa: E402
import pytest  # noqa: E402

# Shapes and types are checked at each call in these modules, under pytest alone. Before any test imports them.
CHECKED = (
    "geometry.camera", "geometry.relative", "geometry.sphere", "reconstruct.rays", "reconstruct.volume",
    "shards.latents", "shards.layouts", "shards.pair", "shards.sample", "train.batch", "train.collate", "train.draws",
    "train.loss", "train.memo", "zero123.sampling", "zero123.schedule",
)  # fmt: skip
jaxtyping.install_import_hook(CHECKED, "beartype.beartype")

from base.storage import write_atomically  # noqa: E402

IS_FIRST_PROCESS = "PYTEST_XDIST_WORKER" not in os.environ
if IS_FIRST_PROCESS:
    # Tests get a temporary folder of their own, so that the session can check at its end that they left it empty.
    # pytest's own folders stay outside, because it keeps those of the last runs.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    os.environ["TMPDIR"] = tempfile.mkdtemp(prefix="test-")
# This process's folder for sockets, which it removes when it ends, after the check.
tempfile.tempdir = os.environ["PYTEST_DEBUG_TEMPROOT"]
multiprocessing.util.get_temp_dir()
tempfile.tempdir = None
KEPT = pytest.StashKey["Kept"]()
STATUS = pytest.StashKey[int]()
# Cheap rooms first, so that a slip shows within seconds; what starts Blender, Ray or the whole chain comes late. `app`
# is last: of the processes (pytest-xdist) one has it to do while others are busy with the chain.
ORDER = (
    "base", "geometry", "shards", "report", "zero123", "train",
    "evaluation", "reconstruct", "inference", "render", "pipeline", "chain", "app",
)  # fmt: skip

hypothesis.settings.register_profile("repeatable", derandomize=True, database=None, deadline=None, max_examples=50)
hypothesis.settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--times", type=int, default=1, metavar="N", help="repeat faults N times as often (make soak)")
    parser.addoption(
        "--figures", type=Path, metavar="FILE", help="keep what passed and its figures, as JSON, and do not repeat it"
    )


class Kept:
    """What passed, what failed and the figures of each test, in whichever process it ran; also in a file, if given."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        kept = json.loads(file.read_text()) if file and file.exists() else {}
        self.figures: dict[str, dict[str, str]] = kept.get("figures", {})
        self.passed: dict[str, float] = kept.get("passed", {})
        self.failed: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)
        elif report.when == "call" and report.passed:
            self.passed[report.nodeid] = report.duration
        if report.when == "call":
            for name, value in report.user_properties:
                self.figures.setdefault(report.nodeid, {})[name] = str(value)
            if self._file:
                kept = {"passed": self.passed, "failed": self.failed, "figures": self.figures}
                write_atomically(self._file, json.dumps(kept, indent=2).encode() + b"\n")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for test, figures in self.figures.items():
            for name, value in figures.items():
                terminalreporter.write_line(f"{value:>12}  {test} {name}")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[KEPT] = kept = Kept(config.getoption("--figures"))
    if not hasattr(config, "workerinput"):  # a process of pytest-xdist, whose reports the first process gets
        config.pluginmanager.register(kept)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Fail the session if tests left anything in the temporary folder."""
    result = yield
    if (bpy := sys.modules.get("bpy")) is not None:  # Blender removes its folder only when the program itself ends
        shutil.rmtree(bpy.app.tempdir, ignore_errors=True)
    if IS_FIRST_PROCESS:
        folder = Path(tempfile.gettempdir())
        # torch's cache, and the file that onnxruntime writes when it is imported
        foreign = ("torchinductor_", ".ses")
        left = sorted(path.name for path in folder.iterdir() if not path.name.startswith(foreign))
        shutil.rmtree(folder)
        if left:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            sys.stderr.write(f"\nexpected tests to leave nothing in their temporary folder, got {', '.join(left)}\n")
    session.config.stash[STATUS] = session.exitstatus
    return result


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave at once after tests that used Ray in this process.

    Ray's own threads crashed the interpreter once while it ended, in _raylet.so, after every test had passed.
    """
    if (ray := sys.modules.get("ray")) is None or hasattr(config, "workerinput") or STATUS not in config.stash:
        return
    ray.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(config.stash[STATUS]))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    passed = [item for item in items if item.nodeid in config.stash[KEPT].passed]
    config.hook.pytest_deselected(items=passed)
    items[:] = [item for item in items if item not in passed]
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    room = "chain" if item.get_closest_marker("chain") else item.path.relative_to(Path(__file__).parent).parts[0]
    return ORDER.index(room) if room in ORDER else -1


@pytest.fixture(scope="session")
def times(request: pytest.FixtureRequest) -> int:
    """How many times as many faults, kills or draws as in `make test`."""
    return int(request.config.getoption("--times"))


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str, object], None]:
    """Note a figure of this test: `figure("kills", 40)` stands in the table at the end of the run."""

    def note(name: str, value: object) -> None:
        request.node.user_properties.append((name, str(value)))

    return note
