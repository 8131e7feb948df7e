"""Make `.venv` with everything pinned, once: run by the Makefile before anything is installed.

Standard library only, and in a syntax that old interpreters still read, so that a wrong Python gets a sentence.
An installation that was interrupted is taken up where it stopped.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = "installed-from"
PYTHON = (3, 11)  # the version Blender 4.5 is built for
EXTRAS = "render,pipeline,s3,gcs,cutout,lora,heic,video,usd,serve,docs,dev"
# 3.1 GB installed with the CPU build of torch, 4.3 GB of wheels and unpacking at the worst moment, and some air.
NEEDED_BYTES = 6_000_000_000

# What Blender links to outside its own folder and the C library, and the Debian and Ubuntu package of each.
LIBRARIES = {
    "libGL.so.1": "libgl1",
    "libICE.so.6": "libice6",
    "libSM.so.6": "libsm6",
    "libX11.so.6": "libx11-6",
    "libXext.so.6": "libxext6",
    "libXfixes.so.3": "libxfixes3",
    "libXi.so.6": "libxi6",
    "libXrender.so.1": "libxrender1",
    "libXt.so.6": "libxt6",
    "libxkbcommon.so.0": "libxkbcommon0",
}


class Stop(Exception):
    """What is wrong and the command that mends it, in one sentence."""


def main(arguments: Sequence[str]) -> int:
    """Install unless it is done; `arguments` may name the Python to use. Returns the exit code."""
    try:
        if stamp_of(VENV) != wanted_stamp():
            with lock_installation():
                if stamp_of(VENV) != wanted_stamp():
                    install(find_python(arguments or candidates()))
    except Stop as stop:
        sys.stderr.write(f"{stop}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped; the same command goes on from there\n")
        return 130
    return 0


def install(python: str) -> None:
    """Every check, then the packages, then the stamp that makes the next run do nothing."""
    check_venv_module(python)
    check_disk(shutil.disk_usage(ROOT).free + size_of(VENV))
    check_libraries()
    sys.stderr.write("Installing into .venv, once: a few minutes and 3 GB.\n")
    (VENV / STAMP).unlink(missing_ok=True)
    make_venv(python)
    repair(VENV)
    # setuptools first: it builds the project itself, and pinned as everything else it needs no second environment.
    pip("install", "setuptools")
    pip("install", "--no-build-isolation", "--editable", f"{ROOT}[{EXTRAS}]")
    part = VENV / f"{STAMP}.part"
    part.write_text(wanted_stamp(), encoding="utf-8")
    part.replace(VENV / STAMP)


def wanted_stamp() -> str:
    """What a finished `.venv` was made from: the Python, the extras and the two files that name the packages."""
    digest = hashlib.sha256(f"{PYTHON}\n{EXTRAS}\n".encode())
    for name in ("constraints.txt", "pyproject.toml"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest() + "\n"


def stamp_of(venv: Path) -> str | None:
    """The stamp of a finished installation; None when there is none, its Python has gone, or it was moved since."""
    try:
        return (venv / STAMP).read_text(encoding="utf-8") if is_unmoved(venv) else None
    except FileNotFoundError:
        return None


def is_unmoved(venv: Path) -> bool:
    """Whether the scripts of an environment start the Python that is in it."""
    try:
        first_line = (venv / "bin" / "pip").read_text(encoding="utf-8").partition("\n")[0]
        return (venv / "bin" / "python").exists() and Path(first_line[2:]).parent.parent.resolve() == venv.resolve()
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def lock_installation() -> Iterator[None]:
    """Two commands started side by side install once: the second waits for the first."""
    with Path(__file__).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def candidates() -> list[str]:
    """Where a Python 3.11 may be: the running one, then those on PATH."""
    found = [sys.executable]
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = Path(folder) / "python{}.{}".format(*PYTHON)
        if path.exists():
            found.append(str(path))
    return found


def find_python(paths: Sequence[str]) -> str:
    """The first of `paths` that is the wanted version. Raises Stop when none is."""
    seen = []
    for path in paths:
        version = version_of(path)
        if version == PYTHON:
            return path
        seen.append("{}.{}".format(*version) if version else f"no Python in {path}")
    name = "python{}.{}".format(*PYTHON)
    raise Stop(
        f"expected Python 3.11, got {', '.join(dict.fromkeys(seen))}: `{apt(name, name + '-venv')}`, or name one with "
        f"`make PYTHON=/path/to/{name}`"
    )


def version_of(python: str) -> tuple[int, int] | None:
    """Major and minor version of an interpreter; None when it does not run."""
    try:
        text = run(python, "-c", "import sys; print(sys.version_info[0], sys.version_info[1])").stdout.split()
        return int(text[0]), int(text[1])
    except (OSError, ValueError, IndexError):
        return None


def check_venv_module(python: str) -> None:
    """Raises Stop when `python` cannot make virtual environments, as Debian's cannot without python3.11-venv."""
    if run(python, "-c", "import venv, ensurepip").returncode:
        raise Stop(f"expected {python} to have its venv module, got nothing: `{apt('python3.11-venv')}`")


def check_disk(room_bytes: int) -> None:
    """Raises Stop when what is free, or already ours, is less than the installation takes."""
    if room_bytes < NEEDED_BYTES:
        raise Stop(
            f"expected {NEEDED_BYTES / 1e9:.0f} GB of free disk for {VENV}, got {room_bytes / 1e9:.1f} GB: "
            "free some (`pip cache purge`), or clone the project onto a larger disk"
        )


def check_libraries(load: Callable[[str], object] = ctypes.CDLL) -> None:
    """Raises Stop naming the packages of all libraries that `load` does not find. Blender starts with none missing."""
    missing = []
    for library in LIBRARIES:
        try:
            load(library)
        except OSError:
            missing.append(library)
    if missing:
        packages = (LIBRARIES[library] for library in missing)
        raise Stop(f"expected {', '.join(missing)}, which Blender needs, got nothing: `{apt(*packages)}`")


def apt(*packages: str) -> str:
    """The command that installs Debian packages, as the present user has to type it."""
    return f"{'' if os.geteuid() == 0 else 'sudo '}apt-get install -y {' '.join(packages)}"


def make_venv(python: str) -> None:
    """`.venv` with a working pip: what stands there is kept if it is whole, of this Python, and was made here."""
    if not is_usable(VENV) and run(python, "-m", "venv", "--clear", str(VENV)).returncode:
        raise Stop(f"expected to make {VENV}, but could not: `{python} -m venv --clear {VENV}` shows why")


def is_usable(venv: Path) -> bool:
    """Whether an environment runs the wanted Python, has a pip that starts, and was not moved."""
    python = str(venv / "bin" / "python")
    return is_unmoved(venv) and version_of(python) == PYTHON and run(python, "-m", "pip", "--version").returncode == 0


def repair(venv: Path) -> None:
    """Make pip forget packages that it was interrupted over: it takes one for installed once its metadata are there."""
    for packages in venv.glob("lib/python*/site-packages"):
        for left_over in packages.glob("~*"):
            shutil.rmtree(left_over, ignore_errors=True)
        for facts in packages.glob("*.dist-info"):
            if not (facts / "INSTALLER").exists():  # the second-last file written by pip
                shutil.rmtree(facts)


def pip(command: str, *arguments: str) -> None:
    """Run pip in `.venv` under the constraints, its output shown but for what was there. Raises Stop when it fails."""
    line = [str(VENV / "bin" / "python"), "-m", "pip", command, "--no-input", "--disable-pip-version-check"]
    line += ["--constraint", str(ROOT / "constraints.txt"), *arguments]
    with subprocess.Popen(line, env=clean_environment(), stdout=subprocess.PIPE, text=True) as process:
        for said in process.stdout or ():
            if not said.startswith("Requirement already satisfied"):
                sys.stderr.write(said)
    if process.returncode:
        raise Stop(
            "expected pip to install the packages, but it stopped (see above): the same command goes on from there"
        )


def size_of(folder: Path) -> int:
    """Bytes in the files below a folder; 0 when there is none."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def run(*line: str) -> subprocess.CompletedProcess[str]:
    """A short command, its output kept."""
    return subprocess.run(line, capture_output=True, text=True, env=clean_environment(), check=False)


def clean_environment() -> dict[str, str]:
    """The environment without the variables that would lead Python or pip out of `.venv`."""
    stray = ("PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_CONSTRAINT", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if name not in stray}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
