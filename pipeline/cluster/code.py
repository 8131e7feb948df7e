"""Which code runs here, so that two machines of one build can be told apart when they do not run the same."""

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("base", "geometry", "render", "shards", "pipeline")
PACKAGES = ("bpy", "numpy", "pillow", "pydantic", "webdataset")


@cache
def code_digest() -> str:
    """16 digits of what a worker runs: the sources of its rooms, and the versions of what it draws and packs with."""
    digest = hashlib.sha256()
    for path in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        digest.update(f"{path.relative_to(ROOT).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    for name in PACKAGES:
        digest.update(f"{name} {_version(name)}\n".encode())
    return digest.hexdigest()[:16]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
