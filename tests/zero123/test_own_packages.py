"""A user's own `base.py` beside a script is named in one sentence instead of failing somewhere inside."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zero123.own_packages import PACKAGES, ROOT, check_own_packages


def run(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    words = [sys.executable, "-c", program]
    return subprocess.run(words, cwd=folder, env=paths, capture_output=True, text=True, check=False)


def test_every_package_with_a_generic_name_is_checked() -> None:
    ours = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"zero123", "tests", "bench"}
    assert ours <= set(PACKAGES)
    check_own_packages()


@pytest.mark.parametrize("name", ["base", "train"])
def test_a_shadowed_package_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / f"{name}.py").write_text("ANSWER = 42\n")
    done = run("import sys; from app.entry import main; sys.exit(main())", tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"expected the package '{name}' of zero123 at {ROOT / name}" in done.stderr
    assert f"got {tmp_path / name}.py" in done.stderr


def test_the_python_front_door_names_it_too(tmp_path: Path) -> None:
    (tmp_path / "base.py").write_text("ANSWER = 42\n")
    done = run("from zero123 import Zero123Pipeline", tmp_path)
    assert done.stderr.rstrip().endswith("rename that file, or run from another folder")
