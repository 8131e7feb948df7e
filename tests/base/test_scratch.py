"""Folders that become another one when whole, or go: also when their owner was killed."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from base.scratch import create_owned_folder, folder_beside, remove_abandoned

ROOT = Path(__file__).parents[2]
OWNER = """
import sys
from pathlib import Path
from base.scratch import folder_beside
with folder_beside(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("x")
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_renamed_or_gone(tmp_path: Path) -> None:
    target = tmp_path / "not yet" / "views"
    with folder_beside(target) as folder:
        (folder / "a").write_text("x")
        folder.rename(target)
    assert [path.name for path in target.parent.iterdir()] == ["views"]
    assert (target / "a").read_text() == "x"
    with pytest.raises(KeyboardInterrupt), folder_beside(target):
        raise KeyboardInterrupt
    assert [path.name for path in target.parent.iterdir()] == ["views"]


def test_only_abandoned_folders_are_removed(tmp_path: Path) -> None:
    target = tmp_path / "views [1]"
    command = [sys.executable, "-c", OWNER, str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline()
        with folder_beside(target):
            assert len(list(tmp_path.iterdir())) == 2
        assert len(list(tmp_path.glob("*/half"))) == 1
        owner.kill()
    assert len(list(tmp_path.glob("*/half"))) == 1
    with folder_beside(target) as folder:
        assert list(tmp_path.iterdir()) == [folder]
    assert not list(tmp_path.iterdir())


def test_folder_removed_before_its_lock_is_made_again(tmp_path: Path) -> None:
    names = iter(("first", "second", "third"))

    def make() -> Path:
        folder = tmp_path / next(names)
        folder.mkdir()
        if folder.name != "third":
            remove_abandoned(tmp_path.iterdir())
        return folder

    folder, lock = create_owned_folder(make)
    remove_abandoned(tmp_path.iterdir())
    assert (folder.name, list(tmp_path.iterdir())) == ("third", [folder])
    os.close(lock)
    remove_abandoned(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_swept_away_during_the_wait_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweeper has the lock first; when it is the owner's, the folder is no more."""
    lock_it, made = fcntl.flock, list[Path]()

    def make() -> Path:
        made.append(tmp_path / str(len(made)))
        made[-1].mkdir()
        return made[-1]

    def late(lock: int, how: int) -> None:
        if len(made) == 1 and made[0].exists():
            made[0].rmdir()
        lock_it(lock, how)

    monkeypatch.setattr("base.scratch.fcntl.flock", late)
    folder, lock = create_owned_folder(make)
    assert folder == made[1]
    os.close(lock)
