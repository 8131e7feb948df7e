"""Environment maps from a folder of the user: panoramas in linear light."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

from base.digest import sha256_file
from base.errors import UsageError
from base.storage import reason

MAGIC = {".hdr": (b"#?RADIANCE", b"#?RGBE"), ".exr": (b"\x76\x2f\x31\x01",)}
MAX_BYTES = 1 << 30


class EnvironmentMap(NamedTuple):
    """The file name of a map and the digest of its bytes."""

    name: str
    sha256: str


@cache
def environment_maps(folder: str) -> tuple[EnvironmentMap, ...]:
    """Return the maps of a folder in order of their names; a process reads a folder once.

    Raises UsageError for a missing or empty folder, and for a file whose bytes do not match its suffix.
    """
    try:
        paths = sorted(path for path in Path(folder).expanduser().iterdir() if path.suffix.lower() in MAGIC)
        maps = tuple(_checked(path) for path in paths)
    except OSError as error:
        raise UsageError(
            f"render.lights: maps: expected a folder of environment maps, got {folder}: {reason(error)}"
        ) from None
    if not maps:
        raise UsageError(f"render.lights: maps: expected {' or '.join(MAGIC)} files in {folder}, got nothing")
    return maps


def _checked(path: Path) -> EnvironmentMap:
    if (size := path.stat().st_size) > MAX_BYTES:
        raise UsageError(f"{path}: expected an environment map of at most {MAX_BYTES} bytes, got {size}")
    with path.open("rb") as stream:
        # Ten bytes are enough for the longest mark.
        opening = stream.read(10)
    if not opening.startswith(MAGIC[path.suffix.lower()]):
        raise UsageError(f"{path}: expected an environment map, got something that starts with {opening!r}")
    return EnvironmentMap(path.name, sha256_file(path))
