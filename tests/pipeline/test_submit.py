"""The script of `ray submit`, as the head runs it: alone, from the home folder."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "pipeline" / "submit.py"
ECHO = "import os, sys\nprint('ran', sys.argv[1:], os.getcwd(), os.environ['RAY_ADDRESS'])\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A head's home folder, its project a program that tells how it was called."""
    app = tmp_path / "zero123" / "app"
    app.mkdir(parents=True)
    (app / "__init__.py").touch()
    (app / "__main__.py").write_text(ECHO)
    (tmp_path / "zero123" / "pipeline.yaml").write_text("metadata: {}\n")
    shutil.copy(SCRIPT, tmp_path)
    return tmp_path


def submit(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    line = [sys.executable, str(home / "submit.py"), *arguments]
    return subprocess.run(
        line, cwd=home, env={**environment, "HOME": str(home)}, capture_output=True, text=True, check=False
    )


def digest(home: Path) -> str:
    return hashlib.sha256((home / "zero123" / "pipeline.yaml").read_bytes()).hexdigest()


def test_it_becomes_the_command_in_the_project_on_the_clusters_ray(home: Path) -> None:
    done = submit(home, "build", "--set", "run.seed=3")
    assert done.returncode == 0, done.stderr
    assert f"ran ['build', '--set', 'run.seed=3'] {home / 'zero123'} auto" in done.stdout
    assert done.stdout.startswith(f"settings {digest(home)[:16]}, brought here 2")


def test_the_wanted_settings_are_let_through(home: Path) -> None:
    done = submit(home, "--settings", digest(home)[:16], "build")
    assert done.returncode == 0
    assert "ran ['build']" in done.stdout


@pytest.mark.parametrize("wanted", ["0" * 16, "", "abc"])
def test_other_settings_are_noticed_before_anything_runs(home: Path, wanted: str) -> None:
    done = submit(home, "--settings", wanted, "build")
    assert done.returncode == 2
    assert done.stderr.startswith(f"submit: expected settings {wanted!r}, got {digest(home)[:16]}, brought here")
    assert "ray rsync-up pipeline.yaml" in done.stderr
    assert "ran" not in done.stdout


def test_a_head_without_the_project_is_one_sentence(home: Path) -> None:
    shutil.rmtree(home / "zero123")
    done = submit(home, "build")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "`ray up pipeline.yaml` brings it" in done.stderr
