"""`zero123 cache` killed in mid-work: nobody is left, nothing is listed, the same command ends as if undisturbed."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.settings import load_settings
from base.progress import SILENT
from base.storage import Storage
from shards.latents import read_latent_indexes
from shards.version import read_version
from tests.pipeline.processes import below, command
from tests.train.runs import make_dataset
from train.cache import CacheJob, cache_latents

ROOT = Path(__file__).parents[2]
SHARDS = 64
SMALL = ["model.hw=[32,32]", "train.threads=1"]
PATIENCE_S = 300.0


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    storage = make_dataset(tmp_path_factory.mktemp("undisturbed") / "dataset", objects=1, shards=SHARDS)
    settings = load_settings(None, ["tiny"], SMALL)
    cache_latents(CacheJob(storage, read_version(storage), settings.model, settings.train.seed, "cpu", 1), 1, SILENT)
    return storage


@pytest.fixture
def sockets() -> Iterator[str]:
    """A folder for the sockets that a killed command leaves behind. The name of a socket has to be short."""
    with tempfile.TemporaryDirectory() as folder:
        yield folder


def begun(root: Path, sockets: str) -> subprocess.Popen[str]:
    words = [word for setting in (*SMALL, f"storage.root={root}") for word in ("--set", setting)]
    line = [sys.executable, "-m", "app", "cache", "--preset", "tiny", "--processes", "2", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": sockets}
    return subprocess.Popen(line, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def eventually(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def pool_of(process: subprocess.Popen[str]) -> list[int]:
    """The workers below the server that forks them."""
    servers = [pid for pid in below(process.pid) if "forkserver" in command(pid)][:1]
    return [pid for server in servers for pid in below(server)]


def made(storage: Storage) -> list[str]:
    return [name for name in storage.names("latents") if name.endswith(".json")]


def latents(storage: Storage) -> dict[str, bytes]:
    names = [*storage.names("latents"), *(name for name in storage.names("versions") if "latents" in name)]
    return {name: storage.read(name) for name in names}


COMMAND = ("the command", -signal.SIGKILL)
WORKER = ("one of its processes", 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "victims",
    [pytest.param([COMMAND], id="command"), pytest.param([WORKER, COMMAND], id="both")],
)
def test_kills_cost_only_what_was_in_hand(
    victims: list[tuple[str, int]], undisturbed: Storage, tmp_path: Path, sockets: str
) -> None:
    shutil.copytree(undisturbed.root, tmp_path / "dataset", ignore=shutil.ignore_patterns("latents", "*-latents-*"))
    storage = Storage(tmp_path / "dataset")
    for victim, code in victims:
        before = made(storage)
        with begun(tmp_path / "dataset", sockets) as killed:
            # The pool is looked up while it loads its encoders: after the first shard every moment counts.
            eventually(lambda: len(pool_of(killed)) == 2 or killed.poll() is not None)
            started, pool = below(killed.pid), pool_of(killed)
            eventually(lambda: len(made(storage)) > len(before) or killed.poll() is not None)  # noqa: B023
            os.kill(killed.pid if victim == "the command" else pool[0], signal.SIGKILL)
            _, said = killed.communicate(timeout=PATIENCE_S)
        assert len(pool) == 2
        assert killed.returncode == code
        assert ("a process that encodes was killed; the same command goes on from there" in said) == (code == 1)
        eventually(lambda: not any(map(command, started)))  # noqa: B023
        assert read_latent_indexes(storage, read_version(storage)) == []
        assert len(before) < len(made(storage)) < SHARDS
    left = SHARDS - len(made(storage))
    with begun(tmp_path / "dataset", sockets) as again:
        told, said = again.communicate(timeout=PATIENCE_S)
    assert again.returncode == 0, said
    assert told.rstrip().endswith(f", {left} made now")
    assert latents(storage) == latents(undisturbed)
