"""A Ray that does not start, or is not there, is one sentence, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from base.errors import Failure
from pipeline.cluster import ray_for
from tests.pipeline.builds import tiny

ROOT = Path(__file__).parents[3]
STOPPED_AS_RAY_STARTS = """
import os, signal, sys
from pipeline.cluster import ray_for
from tests.pipeline.builds import tiny

def stop(number, frame):
    raise KeyboardInterrupt

def begun(*given, **named):
    os.kill(os.getpid(), int(sys.argv[2]))
    return start(*given, **named)

for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, stop)
from ray._private import services
start, services.start_gcs_server = services.start_gcs_server, begun
try:
    with ray_for(tiny(sys.argv[1], sys.argv[1]).run):
        print("never here")
except KeyboardInterrupt:
    import ray
    print("stopped", ray.is_initialized())
"""

STARTED_AFTER_RAY_HAS_BEEN_USED = """
import sys
from ray._raylet import AuthenticationMode, get_authentication_mode
get_authentication_mode()
from pipeline.cluster import ray_for
from tests.pipeline.builds import tiny

with ray_for(tiny(sys.argv[1], sys.argv[1]).run):
    print(get_authentication_mode() == AuthenticationMode.TOKEN)
"""


def test_a_machine_too_busy_to_start_ray_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import ray

    folders: list[Path] = []

    def too_late(*, _temp_dir: str, **_options: object) -> None:
        folders.append(Path(_temp_dir))
        raise Exception("The current node timed out during startup.")  # as Ray does

    monkeypatch.setattr(ray, "init", too_late)
    with pytest.raises(Failure, match=r"to start, got: The current node .* startup; run the same command again"):
        ray_for(tiny(tmp_path, tmp_path).run).__enter__()
    assert len(folders) == 1
    assert not folders[0].exists()


def test_a_cluster_that_is_not_there_is_told(tmp_path: Path) -> None:
    run = tiny(tmp_path, tmp_path).run.model_copy(update={"address": "127.0.0.1:1"})
    with pytest.raises(Failure, match=r"run.address: expected a Ray cluster at '127.0.0.1:1', got: .*refused"):
        ray_for(run).__enter__()


@pytest.mark.slow
def test_it_starts_after_earlier_use_of_ray_and_wants_a_token(tmp_path: Path) -> None:
    assert _run_alone(STARTED_AFTER_RAY_HAS_BEEN_USED, tmp_path) == "True\n"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_ray_starts_is_ours_and_cuts_nothing(number: int, tmp_path: Path) -> None:
    assert _run_alone(STOPPED_AS_RAY_STARTS, tmp_path, str(int(number))) == "stopped False\n"


def _run_alone(program: str, *words: Path | str) -> str:
    """What `program` printed, in a process of its own in which nobody has used Ray."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH_")}
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
