"""A disk that is full or turns read-only amid the work: a sentence, no damage, and the same command goes on.

Real builds by the command itself, with a stub in Blender's place, on a cluster; the dataset stands on a small disk of
its own, which needs root.
"""

import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.pipeline.disturbed import LIMIT_S, Calm, Place, after, ended, model, stock, watched
from tests.pipeline.hub import Hub
from tests.pipeline.nodes import Nodes

pytestmark = pytest.mark.server

FIRST = ("thing-0", "thing-1")
ALL = (*FIRST, *(f"thing-{number}" for number in range(2, 12)))
DISK_KB = 4096


@pytest.fixture(scope="module")
def calm(nodes: Nodes, lasting_hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Calm:
    stock(lasting_hub, {uid: model(uid) for uid in ALL})
    return Calm.made(Place.new(tmp_path_factory.mktemp("calm") / "second", lasting_hub, nodes), FIRST, ALL)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk."""
    (tmp_path / "disk").mkdir()
    mount("-t", "tmpfs", "-o", f"size={DISK_KB}k", "tmpfs", str(tmp_path / "disk"))
    try:
        yield tmp_path / "disk"
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path / "disk")], check=True)


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def turn_read_only(disk: Path) -> None:
    """Have nothing more be written to a disk, from the first moment on at which no file of it is open for writing."""
    deadline = time.monotonic() + LIMIT_S
    while subprocess.run(["mount", "-o", "remount,ro", str(disk)], capture_output=True, check=False).returncode:
        assert time.monotonic() < deadline, f"{disk}: always busy"


def fill(disk: Path, left_kb: int) -> Path:
    """Have so much left on a disk."""
    filler = disk / "filler"
    with filler.open("wb") as stream:
        for _ in range(_free_kb(disk) - left_kb):
            stream.write(bytes(1024))
            stream.flush()
    return filler


def _free_kb(disk: Path) -> int:
    return shutil.disk_usage(disk).free // 1024


def on(disk: Path, calm: Calm, folder: Path) -> Place:
    """A copy on the disk of the dataset as the first request left it; caches and settings are elsewhere."""
    folder.mkdir()
    shutil.copytree(calm.after_first.root, disk / "dataset")
    return replace(calm.after_first, folder=folder, root=str(disk / "dataset"))


def test_a_full_disk_is_said_and_damages_nothing(calm: Calm, disk: Path, tmp_path: Path) -> None:
    place = on(disk, calm, tmp_path / "place")
    filler = fill(disk, left_kb=16)
    with watched(place.root):
        code, said = ended(place.start(ALL))
        assert code == 1, said[-3000:]
        assert "the disk is full" in said, said[-3000:]
        filler.unlink()
        place.build(ALL)
    calm.is_what(place)


def test_read_only_disk_damages_nothing(calm: Calm, disk: Path, tmp_path: Path) -> None:
    place = on(disk, calm, tmp_path / "place")
    with watched(place.root):
        with place.start(ALL) as build:
            after(build, place, 2, 0.0)
            turn_read_only(disk)
            code, said = ended(build)
        mount("-o", "remount,rw", str(disk))
        assert code == 1, said[-3000:]
        assert "choose a folder that you may write to" in said, said[-3000:]
        place.build(ALL)
    calm.is_what(place)
