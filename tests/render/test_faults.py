"""Faults in the real child, phase by phase: the right outcome, nothing left over, and the next object as ever."""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from base.errors import Failure
from base.outcomes import Outcome
from render.child import RenderChild
from render.run import render_views
from tests.render.conftest import EXAMPLES
from tests.render.faults import FAULTS, STEPS
from tests.render.models import digests

PROGRAM = str(Path(__file__).with_name("faults.py"))
SMALL = {"hw": [32, 32], "views": 2, "samples": 1, "denoise": {"enabled": False}, "checks": {"bad": []}}
DEADLINE_S = 15.0
LATE_S = 2.0
"""The most that may pass between a deadline and its result."""
LIMITS = {"memory_mb": 1200, "import_timeout_s": DEADLINE_S, "view_timeout_s": DEADLINE_S}
ENDS = {
    "segfault": (Outcome.CRASH, "SIGSEGV"),
    "hang": (Outcome.TIMEOUT, f"within {DEADLINE_S:g} s"),
    "memory": (Outcome.OUT_OF_MEMORY, "1200 MiB"),
    "rubbish": (Outcome.CRASH, "expected a JSON message"),
    "exit": (Outcome.CRASH, "exit code 3"),
}
ALL = [(fault, phase) for fault in FAULTS for phase in STEPS]
SOME = [
    ("segfault", "import"), ("segfault", "view"), ("memory", "import"), ("rubbish", "normalise"), ("exit", "prepare"),
    ("rubbish", "encode"), pytest.param("hang", "view", marks=pytest.mark.slow),
]  # fmt: skip


def faulty_child(settings: Any, at_start: str = "none", limits: dict[str, Any] = LIMITS) -> RenderChild:
    return RenderChild(settings(child=limits), (sys.executable, PROGRAM, at_start))


@pytest.fixture
def private_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return tmp_path / "tmp"


@pytest.fixture(scope="module")
def undisturbed(settings: Any, blender: RenderChild, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the stool's views are when nothing happens."""
    folder = tmp_path_factory.mktemp("undisturbed")
    render_views(blender, EXAMPLES / "stool.glb", "stool", settings(**SMALL), 0, folder)
    return digests(folder)


def processes_in(folder: Path) -> list[int]:
    """The processes that work in a folder below `folder`."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdecimal() and str((process / "cwd").readlink()).startswith(str(folder)):
                found.append(int(process.name))
        except OSError:
            continue  # it ended, or is not ours
    return found


def endures(fault: str, phase: str, settings: Any, undisturbed: dict[str, str], private_tmp: Path, out: Path) -> float:
    """Meet the fault, then render the stool with the same child; how many seconds after its deadline a hang ended."""
    outcome, words = ENDS[fault]
    began: dict[str, float] = {}
    with faulty_child(settings) as child:
        child.watch = lambda phase: began.update({phase: time.monotonic()})
        result = render_views(child, EXAMPLES / "stool.glb", f"{fault}-{phase}", settings(**SMALL), 0, out / "bad")
        late_s = time.monotonic() - began[phase] - DEADLINE_S
        assert (result.outcome, result.phase) == (outcome, phase), result.reason
        assert words in result.reason
        assert processes_in(private_tmp) == []
        assert list(private_tmp.iterdir()) == []
        assert not (out / "bad").exists()
        good = render_views(child, EXAMPLES / "stool.glb", "stool", settings(**SMALL), 0, out / "good")
        assert good.outcome is Outcome.OK, good.reason
    assert digests(out / "good") == undisturbed
    assert processes_in(private_tmp) == []
    assert list(private_tmp.iterdir()) == []
    return late_s


@pytest.mark.parametrize(("fault", "phase"), SOME)
def test_a_fault_is_a_plain_result(
    fault: str, phase: str, settings: Any, undisturbed: dict[str, str], private_tmp: Path, tmp_path: Path
) -> None:
    assert endures(fault, phase, settings, undisturbed, private_tmp, tmp_path) < LATE_S


@pytest.mark.soak
@pytest.mark.parametrize(("fault", "phase"), ALL)
def test_every_fault_in_every_phase_is_found_out_in_time(
    fault: str, phase: str, settings: Any, undisturbed: dict[str, str], private_tmp: Path, tmp_path: Path,
    figure: Callable[[str, object], None],
) -> None:  # fmt: skip
    late_s = endures(fault, phase, settings, undisturbed, private_tmp, tmp_path)
    if fault == "hang":
        figure("seconds from the deadline to the result", f"{late_s:.2f}")
        assert 0.0 < late_s < LATE_S


@pytest.mark.parametrize(
    "fault", [pytest.param(fault, marks=() if fault in ("segfault", "hang") else pytest.mark.slow) for fault in FAULTS]
)
def test_a_child_that_cannot_start_is_the_machines_failure(fault: str, settings: Any, private_tmp: Path) -> None:
    limits = LIMITS | ({"start_timeout_s": 2.0} if fault == "hang" else {})
    words = "expected an answer within 2 s" if fault == "hang" else ENDS[fault][1]
    started = time.monotonic()
    with faulty_child(settings, fault, limits) as child, pytest.raises(Failure) as failure:
        render_views(child, EXAMPLES / "stool.glb", "stool", settings(**SMALL), 0, private_tmp.parent / "out")
    assert str(failure.value).startswith("expected Blender to start, got: ")
    assert words in str(failure.value)
    if fault == "hang":
        assert time.monotonic() - started < 2.0 + LATE_S
    assert processes_in(private_tmp) == []
    assert list(private_tmp.iterdir()) == []
