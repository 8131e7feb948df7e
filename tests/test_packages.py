"""Constraints, declared dependencies and imports agree, and every package that is used can be imported."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONSTRAINTS = {"3.11": ROOT / "constraints.txt", "3.12": ROOT / "constraints-py312.txt"}
# Each brings torchvision, or another build of torch with it.
FORBIDDEN = {"torchvision", "lpips", "torch-fidelity", "clean-fid", "piqa", "litdata", "mosaicml-streaming"}
ROOMS = {path.parent.name for path in ROOT.glob("*/__init__.py")} | {"tests", "bench"}
# What the package of another name imports as, where its metadata do not say.
STUBS = {"types-pyyaml"}
OURS_AND_BLENDERS = {"bmesh", "bpy", "docs", "mathutils", "packaging"}
"""Modules without an entry of their own: Blender's, the programs beside our pages, and what pip brings."""


def declared(extras: set[str], python: str) -> Iterator[Requirement]:
    """The requirements of the project that hold for a version of Python."""
    groups = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in sorted(extras))]
    environment = {"python_version": python}
    for text in (text for group in groups for text in group):
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            yield requirement


def pins(python: str) -> dict[str, str]:
    lines = CONSTRAINTS[python].read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


ALL_EXTRAS = set(PROJECT["optional-dependencies"])
EVERYTHING = list(declared(ALL_EXTRAS, "3.11"))


@cache
def import_names() -> dict[str, list[str]]:
    """What each package imports as; compiled modules at the top are found in its files alone.

    Computed in the tests, once: it reads the list of files of every installed package, which takes seconds.
    """
    homes = packages_distributions()
    found: dict[str, list[str]] = {}
    for requirement in EVERYTHING:
        package = canonicalize_name(requirement.name)
        files = distribution(requirement.name).files or ()
        names = {file.name.partition(".")[0] for file in files if file.suffix == ".so" and len(file.parts) == 1}
        names |= {name for name, owners in homes.items() if package in map(canonicalize_name, owners)}
        found[requirement.name] = sorted(name for name in names if re.fullmatch(r"[a-z][a-z0-9_]*", name, re.I))
    return found


@pytest.mark.parametrize(
    ("python", "extras"),
    [("3.11", ALL_EXTRAS), ("3.12", {"s3", "gcs", "cutout", "lora", "heic", "video", "usd", "serve", "dev"})],
    ids=["everything-3.11", "training-3.12"],
)
def test_declared_packages_are_pinned(python: str, extras: set[str]) -> None:
    pinned = pins(python)
    for requirement in declared(extras, python):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version, f"{CONSTRAINTS[python].name}: no line for {requirement.name}"
        assert requirement.specifier.contains(version), f"{requirement} is pinned to {version}"


@pytest.mark.parametrize("python", CONSTRAINTS)
def test_pins_are_exact_unique_and_free_of_a_second_torch(python: str) -> None:
    lines = [line for line in CONSTRAINTS[python].read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!]+", line) for line in lines)
    assert len(lines) == len(pins(python))
    assert not FORBIDDEN & set(pins(python))
    assert Version(pins(python)["numpy"]).major == {"3.11": 1, "3.12": 2}[python]


def test_the_two_lists_differ_in_numpy_alone() -> None:
    blender, training = pins("3.11"), pins("3.12")
    assert set(training) <= set(blender)
    assert {name for name in training if training[name] != blender[name]} == {"numpy"}
    assert "bpy" in blender
    assert "bpy" not in training
    assert Version(blender["pyarrow"]) < Version("26")


@pytest.mark.parametrize("requirement", EVERYTHING, ids=lambda requirement: requirement.name)
def test_the_pinned_version_is_installed(requirement: Requirement) -> None:
    installed = Version(distribution(requirement.name).version)
    assert installed.public == pins("3.11")[canonicalize_name(requirement.name)]


@pytest.mark.slow
def test_every_package_can_be_imported_beside_the_others(tmp_path: Path) -> None:
    """In one child, because they have to get along; Blender in its own, because its modules stay away from the rest."""
    names = [name for package, names in import_names().items() if package != "bpy" for name in names]
    assert {"torch", "diffusers", "ray", "deltalake", "PIL", "yaml", "skimage", "s3fs", "gcsfs"} <= set(names)
    for modules in (names, ["bpy", "mathutils", "numpy"]):
        program = f"import importlib\nfor name in {modules!r}: importlib.import_module(name)"
        environment = {**os.environ, "TMPDIR": str(tmp_path)}  # Blender leaves its folder behind
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr[-2000:]


def test_each_declared_package_has_an_import_name() -> None:
    assert [package for package, names in import_names().items() if not names and package not in STUBS] == []


def test_every_import_is_of_a_declared_package() -> None:
    known = {name for names in import_names().values() for name in names} | ROOMS | set(sys.stdlib_module_names)
    sources = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    used = {name.partition(".")[0]: path for path in sources for name in imports_of(path)}
    undeclared = {name: path for name, path in used.items() if name not in known | OURS_AND_BLENDERS}
    assert undeclared == {}


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
