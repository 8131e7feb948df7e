"""Identify the code on this machine: a build refuses workers with other code."""

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("base", "geometry", "shards", "pipeline")
PACKAGES = ("numpy", "pillow", "pydantic", "webdataset")
"""The code and packages that make the bytes of every stage."""


@cache
def code_digest(rooms: tuple[str, ...] = (), packages: tuple[str, ...] = ()) -> str:
    """Return 16 digits of the sources a worker runs and the packages that make its bytes, with those of a stage."""
    digest = hashlib.sha256()
    # Sorted, because folders list their files in another order on each disk.
    for path in sorted(path for folder in (*FOLDERS, *rooms) for path in (ROOT / folder).rglob("*.py")):
        digest.update(f"{path.relative_to(ROOT).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    for name in (*PACKAGES, *packages):
        digest.update(f"{name} {_version(name)}\n".encode())
    return digest.hexdigest()[:16]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        # A digest still: workers with and without bpy differ.
        return "none"
