"""Environment maps that a user gives: a folder of pictures of all directions, in linear light."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

from base.digest import sha256_file
from base.errors import UsageError
from base.storage import reason

MAGIC = {".hdr": (b"#?RADIANCE", b"#?RGBE"), ".exr": (b"\x76\x2f\x31\x01",)}
MAX_BYTES = 1 << 30


class EnvironmentMap(NamedTuple):
    """A map by its file's name in its folder, and the digest of its bytes."""

    name: str
    sha256: str


@cache
def environment_maps(folder: str) -> tuple[EnvironmentMap, ...]:
    """The maps of a folder in order of their names; read once by a process.

    Raises UsageError for a folder that is missing or empty, and for a file that is not what its suffix says.
    """
    try:
        paths = sorted(path for path in Path(folder).expanduser().iterdir() if path.suffix.lower() in MAGIC)
        maps = tuple(_checked(path) for path in paths)
    except OSError as error:
        raise UsageError(
            f"render.lights: maps: expected a folder of environment maps, got {folder}: {reason(error)}"
        ) from None
    if not maps:
        raise UsageError(f"render.lights: maps: expected {' or '.join(MAGIC)} files in {folder}, got none")
    return maps


def _checked(path: Path) -> EnvironmentMap:
    if (size := path.stat().st_size) > MAX_BYTES:
        raise UsageError(f"{path}: expected an environment map of at most {MAX_BYTES} bytes, got {size}")
    with path.open("rb") as stream:
        opening = stream.read(10)
    if not opening.startswith(MAGIC[path.suffix.lower()]):
        raise UsageError(f"{path}: expected an environment map, got something that starts with {opening!r}")
    return EnvironmentMap(path.name, sha256_file(path))
