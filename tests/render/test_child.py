"""Whatever the child does is a plain result; nothing of it is left; the next object renders."""

import dataclasses
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from base.errors import Failure
from base.outcomes import Outcome
from render.child import GPU_VARIABLES, RenderChild
from render.job import RenderJob
from tests.render.conftest import EXAMPLES, ROOT

MISBEHAVING = str(Path(__file__).with_name("misbehaving.py"))
SETTINGS = {"passes": [], "light": "dark", "lights": {"dark": {"maps": None}}}
LIMITS = {"view_timeout_s": 3.0, "import_timeout_s": 5.0, "memory_mb": 400, "start_timeout_s": 20.0}


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("A_SECRET", "never passed on")
    return tmp_path


def job(uid: str, out: Path) -> RenderJob:
    cameras = [[[1.0, 0.0, 0.0, 0.0]] * 3] * 2
    file = str(EXAMPLES / "stool.glb")
    return RenderJob(uid=uid, file=file, seed=0, settings=SETTINGS, extrinsics=cameras, lights=[], out_dir=str(out))


def child(settings, notes: Path, **limits) -> RenderChild:
    command = (sys.executable, MISBEHAVING, str(notes))
    return RenderChild(settings(child={**LIMITS, **limits}), command)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.mark.parametrize(
    ("uid", "outcome", "words"),
    [
        ("segfault", Outcome.CRASH, "SIGSEGV"),
        ("hang", Outcome.TIMEOUT, "within 3 s"),
        ("hang_with_child", Outcome.TIMEOUT, "within 3 s"),
        ("exit", Outcome.CRASH, "exit code 3"),
        ("quiet_exit", Outcome.CRASH, "exit code 0"),
        ("rubbish", Outcome.CRASH, "expected a JSON message"),
        ("wrong_message", Outcome.CRASH, "weather"),
        ("wrong_result", Outcome.CRASH, "expected a phase or a result"),
        ("empty_result", Outcome.CRASH, "expected a phase or a result"),
        ("endless_phases", Outcome.CRASH, "phases without end"),
        ("endless_line", Outcome.CRASH, "without end"),
        ("memory", Outcome.OUT_OF_MEMORY, "at most 400 MiB"),
        ("closes_channel", Outcome.CRASH, "closed its channel"),
        ("killed", Outcome.OUT_OF_MEMORY, "want of memory"),
    ],
)
def test_a_fault_is_a_result_and_the_next_object_renders(settings, notes, uid, outcome, words) -> None:
    limits = {} if "hang" in uid else {"view_timeout_s": 20.0}
    with child(settings, notes, **limits) as render:
        started = time.monotonic()
        result = render.render(job(uid, notes / "out"))
        if outcome is Outcome.TIMEOUT:
            assert time.monotonic() - started < 40.0  # it would sleep for 60 s
        assert (result.outcome, result.phase) == (outcome, "view")
        assert words in result.reason
        assert f"now {uid}" in result.stderr_tail
        assert {"start", "import"} <= result.seconds.keys()
        assert not (notes / "out").exists()
        assert not list((notes / "tmp").iterdir())
        pids = (notes / "pids").read_text().split()
        pids += [(notes / "grandchild").read_text()] if uid == "hang_with_child" else []
        assert not any(is_alive(int(pid)) for pid in pids)

        after = render.render(job("fine", notes / "out"))
        assert after.outcome is Outcome.OK
        assert sorted(path.name for path in (notes / "out").iterdir()) == ["00.webp", "01.webp"]
    assert not list((notes / "tmp").iterdir())


def test_one_process_serves_many_objects_until_it_is_recycled(settings, notes) -> None:
    with child(settings, notes, recycle_after=2) as render:
        for number in range(5):
            assert render.render(job("fine", notes / f"{number}")).outcome is Outcome.OK
    pids = (notes / "pids").read_text().split()
    assert [pids.index(pid) for pid in pids] == [0, 0, 2, 2, 4]


def test_a_process_that_grew_is_recycled(settings, notes) -> None:
    with child(settings, notes, recycle_above_mb=1) as render:
        for number in range(2):
            assert render.render(job("fine", notes / f"{number}")).outcome is Outcome.OK
    assert len(set((notes / "pids").read_text().split())) == 2


def test_child_environment(settings, notes, monkeypatch) -> None:
    for name in GPU_VARIABLES:
        monkeypatch.setenv(name, "1")
    with child(settings, notes) as render:
        render.render(job("fine", notes / "out"))
    seen = set((notes / "environment").read_text().split())
    assert "A_SECRET" not in seen
    assert {"PATH", *GPU_VARIABLES} <= seen


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import sys; sys.exit('no libX11 here')", "no libX11 here"),
        ('import os, sys; os.write(int(sys.argv[2]), b\'{"refused": "no such device"}\\n\')', "no such device"),
    ],
)
def test_child_that_cannot_start_raises_failure(settings, notes, program, words) -> None:
    with (
        RenderChild(settings(child=LIMITS), (sys.executable, "-c", program)) as render,
        pytest.raises(Failure) as error,
    ):
        render.render(job("fine", notes / "out"))
    assert words in str(error.value)
    assert not list((notes / "tmp").iterdir())


KILLED_AT_FIRST = f"""
import os, runpy, signal, sys
from pathlib import Path
starts = Path(sys.argv[1], "starts")
with starts.open("a") as stream:
    stream.write("x")
if len(starts.read_text()) <= int(sys.argv.pop(2)):
    os.kill(os.getpid(), signal.SIGKILL)
runpy.run_path({MISBEHAVING!r}, run_name="__main__")
"""


def test_a_child_killed_as_it_begins_is_followed_by_one_more(settings, notes) -> None:
    command = (sys.executable, "-c", KILLED_AT_FIRST, str(notes))
    with RenderChild(settings(child=LIMITS), (*command, "1")) as render:
        assert render.render(job("fine", notes / "out")).outcome is Outcome.OK
    (notes / "starts").unlink()
    with (
        RenderChild(settings(child=LIMITS), (*command, "9")) as render,
        pytest.raises(Failure, match="to start, got: the system killed"),
    ):
        render.render(job("fine", notes / "out"))
    assert (notes / "starts").read_text() == "xx"
    assert not list((notes / "tmp").iterdir())


def test_a_file_that_is_gone_is_named(settings, notes) -> None:
    gone = dataclasses.replace(job("fine", notes / "out"), file="/nowhere/van.glb")
    with child(settings, notes) as render, pytest.raises(Failure, match=r"fine: could not handle /nowhere/van\.glb"):
        render.render(gone)
    assert not list((notes / "tmp").iterdir())


def test_missing_device_raises_failure(settings, notes) -> None:
    with RenderChild(settings(device="METAL")) as render, pytest.raises(Failure, match="for METAL, got nothing"):
        render.render(job("fine", notes / "out"))


def test_the_child_outlives_the_thread_that_started_it(settings, notes) -> None:
    with RenderChild(settings()) as render:
        thread = threading.Thread(target=render._ready)
        thread.start()
        thread.join()
        assert render._process is not None
        pid = render._process._process.pid
        time.sleep(0.2)
        assert is_alive(pid)
        assert render.isolation in ("files landlock, network namespace", "files landlock", "network namespace", "")
    assert not is_alive(pid)


def test_a_command_that_is_not_there_is_our_failure(settings, notes) -> None:
    with RenderChild(settings(), ("/nowhere/blender",)) as render, pytest.raises(Failure, match="could not start"):
        render.render(job("fine", notes / "out"))
    assert not list((notes / "tmp").iterdir())


def test_child_dies_with_its_parent(settings, notes) -> None:
    program = (
        "import sys, tempfile, time\n"
        "from base.child_process import ChildProcess\n"
        "tempfile.tempdir = sys.argv[1]\n"
        "environment = {'PYTHONPATH': sys.argv[2], 'OMP_NUM_THREADS': '1'}\n"
        "process = ChildProcess([sys.executable, '-m', 'render.blender', 'CPU'], environment)\n"
        "process.receive(timeout_s=60, memory_mb=4000)\n"
        "print(process._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(notes / "tmp"), str(ROOT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
        parent.wait()
        until = time.monotonic() + 5.0
        while is_alive(pid) and time.monotonic() < until:
            time.sleep(0.02)
        assert not is_alive(pid)
    assert len(list((notes / "tmp").iterdir())) == 1
    with child(settings, notes) as render:
        render.render(job("fine", notes / "out"))
        assert len(list((notes / "tmp").iterdir())) == 1
    assert not list((notes / "tmp").iterdir())
