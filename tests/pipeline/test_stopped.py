"""A build that is stopped, politely or not: the same command finishes it, with nothing lost and nothing done twice."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from base.progress import SILENT
from base.storage import Storage
from pipeline.builder import build
from pipeline.catalog.tables import Catalog
from shards.verify import verify
from shards.version import read_version
from tests.pipeline.builds import ROOT, files, models
from tests.pipeline.one_build import slow

NAMES = ("stool", "avocado", "burger", "dog")


def start(root: Path, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.pipeline.one_build", str(root), str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait_until(reached: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not reached():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "the build got nowhere"
        time.sleep(0.02)


def finished(root: Path) -> int:
    return len(list(root.glob("staging/*/attempt.json")))


def working(session: int) -> list[str]:
    """The processes of a session that could still write: workers and Blenders. Ray's own agents linger for a while."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.append((stat.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:120])
        except OSError:
            continue
    return [command for command in found if "Agent" not in command]


@pytest.mark.slow
@pytest.mark.chain
def test_stopped_killed_and_continued_equals_undisturbed(tmp_path: Path) -> None:
    folder, root, calm = models(tmp_path / "models", *NAMES), tmp_path / "stopped", tmp_path / "calm"

    first = start(root, folder)
    wait_until(lambda: finished(root) >= 2, first)
    os.killpg(first.pid, signal.SIGINT)
    asked = time.monotonic()
    said = first.communicate(timeout=60)[1]
    assert first.returncode == 130, said
    assert "stopping: running renders are abandoned" in said
    assert "Traceback" not in said
    assert time.monotonic() - asked < 30
    assert not (root / "lease.json").exists()
    assert read_version(Storage(root), 1).samples("train") >= 1, "what was packed is a version"
    kept = finished(root)

    second = start(root, folder)
    wait_until(lambda: finished(root) >= kept + 1, second)
    second.kill()
    second.communicate()
    assert (root / "lease.json").exists()
    verify(Storage(root), read_version(Storage(root)), SILENT)
    wait = time.monotonic() + 30
    while working(second.pid):
        assert time.monotonic() < wait, working(second.pid)
        time.sleep(0.1)

    third = start(root, folder)
    said = third.communicate(timeout=240)[1]
    assert third.returncode == 0, said

    build(slow(calm, folder), SILENT)
    assert files(root, "shards") == files(calm, "shards")
    assert read_version(Storage(root)).shards == read_version(Storage(calm)).shards
    tried = [attempt.uid for attempt in Catalog(Storage(root)).attempts() if attempt.outcome == "ok"]
    assert sorted(tried) == sorted(set(tried)), "no object was rendered twice"
    assert len(tried) == len(NAMES)
    verify(Storage(root), read_version(Storage(root)), SILENT)
