"""The installer's refusals: one sentence each, with the command that mends it, and nothing written."""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
BOOTSTRAP = ROOT / "bootstrap.py"


def load(root: Path) -> ModuleType:
    """`bootstrap.py` of a folder, as a module of its own."""
    spec = spec_from_file_location(f"bootstrap_of_{root.name}", root / "bootstrap.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bootstrap = load(ROOT)
Interpreter = Callable[[str], str]


@pytest.fixture
def interpreter(tmp_path: Path) -> Interpreter:
    """Make an executable with a shell script for a body."""

    def make(body: str) -> str:
        path = tmp_path / "python3.11"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return str(path)

    return make


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that the installer reads, in a folder without `.venv`."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("bootstrap.py", "constraints.txt", "pyproject.toml", "Makefile"):
        shutil.copy(ROOT / name, folder)
    return folder


def start(checkout: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "bootstrap.py", *arguments]
    return subprocess.run(
        line, cwd=checkout, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def test_another_python_is_one_sentence(checkout: Path, interpreter: Interpreter) -> None:
    done = start(checkout, interpreter("echo 3 13"))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("expected Python 3.11, got 3.13: `")
    assert "apt-get install -y python3.11 python3.11-venv`" in done.stderr
    assert not (checkout / ".venv").exists()


def test_a_python_that_does_not_run_is_one_sentence(checkout: Path) -> None:
    done = start(checkout, "/nowhere/python3")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "expected Python 3.11, got no Python in /nowhere/python3" in done.stderr


def test_a_missing_venv_module_is_one_sentence(checkout: Path, interpreter: Interpreter) -> None:
    done = start(checkout, interpreter('case "$*" in *ensurepip*) exit 1;; *) echo 3 11;; esac'))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "to have its venv module, got nothing: `" in done.stderr
    assert "apt-get install -y python3.11-venv`" in done.stderr
    assert not (checkout / ".venv").exists()


def test_make_says_it_when_there_is_no_python_at_all(checkout: Path) -> None:
    line = [shutil.which("make") or "make", "test"]
    done = subprocess.run(line, cwd=checkout, env={"PATH": "/nowhere"}, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "expected python3, got nothing: apt-get install -y python3.11 python3.11-venv\n" in done.stderr


def test_python_3_11_is_found_on_path_beside_another(
    tmp_path: Path, interpreter: Interpreter, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = interpreter("echo 3 11")
    monkeypatch.setenv("PATH", f"/nowhere{os.pathsep}{tmp_path}")
    assert good in bootstrap.candidates()
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho 3 12\n")
    other.chmod(0o755)
    assert bootstrap.find_python([str(other), good]) == good


def test_too_little_disk_is_one_sentence() -> None:
    bootstrap.check_disk(bootstrap.NEEDED_BYTES)
    with pytest.raises(
        bootstrap.Stop, match=r"^expected 6 GB of free disk for .*, got 2\.5 GB: free some \(`pip cache"
    ):
        bootstrap.check_disk(2_500_000_000)


def test_missing_libraries_are_named_with_their_packages() -> None:
    bootstrap.check_libraries()

    def load_all_but_two(name: str) -> None:
        if name in ("libXi.so.6", "libSM.so.6"):
            raise OSError(f"{name}: cannot open shared object file")

    with pytest.raises(bootstrap.Stop) as stop:
        bootstrap.check_libraries(load_all_but_two)
    assert "expected libSM.so.6, libXi.so.6, which Blender needs, got nothing" in str(stop.value)
    assert "apt-get install -y libsm6 libxi6`" in str(stop.value)


def test_the_list_of_libraries_is_what_blender_loads() -> None:
    from importlib.util import find_spec

    spec = find_spec("bpy")
    assert spec
    assert spec.origin
    lines = subprocess.run(["ldd", spec.origin], capture_output=True, text=True, check=True).stdout.splitlines()
    outside = {line.split()[0] for line in lines if "/bpy/" not in line}
    graphics = {name for name in outside if name.startswith(("libX", "libGL.", "libSM", "libICE", "libxkb"))}
    # libXau and libXdmcp come with libX11's own package, as libGLX and libGLdispatch with libGL's.
    assert graphics - {"libXau.so.6", "libXdmcp.so.6"} <= set(bootstrap.LIBRARIES)


@pytest.fixture
def installed(checkout: Path) -> Path:
    """A checkout with what a finished installation leaves."""
    module = load(checkout)
    programs = checkout / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(sys.executable)
    (programs / "pip").write_text(f"#!{programs / 'python'}\n")
    (checkout / ".venv" / module.STAMP).write_text(module.wanted_stamp())
    return checkout


def test_a_moved_installation_is_not_taken_for_finished(installed: Path) -> None:
    assert load(installed).stamp_of(installed / ".venv") is not None
    moved = installed.rename(installed.with_name("moved"))
    assert load(moved).stamp_of(moved / ".venv") is None


def test_a_finished_installation_is_left_alone(installed: Path) -> None:
    checkout = installed
    done = start(checkout, "/nowhere/python3")  # would be refused if it were looked at
    assert done.stderr == ""
    assert done.stdout == ""
    assert done.returncode == 0


@pytest.mark.parametrize("name", ["constraints.txt", "pyproject.toml"])
def test_a_change_of_what_is_wanted_installs_again(checkout: Path, name: str) -> None:
    module = load(checkout)
    before = module.wanted_stamp()
    (checkout / name).write_text((checkout / name).read_text() + "\n")
    assert module.wanted_stamp() != before


def test_an_interrupted_package_is_forgotten(tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    for name, files in {"whole-1.dist-info": ["METADATA", "INSTALLER"], "torn-1.dist-info": ["METADATA"]}.items():
        (packages / name).mkdir(parents=True)
        for file in files:
            (packages / name / file).touch()
    (packages / "~umpy").mkdir()
    bootstrap.repair(tmp_path)
    assert [path.name for path in packages.iterdir()] == ["whole-1.dist-info"]


def test_it_reads_in_an_old_python() -> None:
    ast.parse(BOOTSTRAP.read_text(encoding="utf-8"), feature_version=(3, 7))
