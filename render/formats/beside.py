"""Files beside a model: the names that a model may use for what it needs, none of which leaves its folder."""

import re
from pathlib import Path

from base.outcomes import Outcome
from render.formats.refused import Refused, unsupported

MAX_FILES = 4096
MAX_BYTES = 2 << 30
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|[/\\]")
DRIVE = re.compile(r"[A-Za-z]:[\\/]")


def inside(folder: Path, name: str) -> str:
    """`name` itself, when it names something in `folder`. Raises Refused for an address and for a path that leaves."""
    if ADDRESS.match(name) or "\\" in name or "\0" in name:
        raise unsupported(f"expected files beside the model, got the address {name[:80]!r}; nothing is fetched")
    if not (folder / name).resolve().is_relative_to(folder.resolve()):
        raise unsupported(f"expected files beside the model, got {name[:80]!r}, which leaves its folder")
    return name


def windows_name(name: str) -> str:
    """A name as its author's machine wrote it, with our slashes; of a path from a drive's root only the last part."""
    bare = name.strip().strip('"')
    slashed = bare.replace("\\", "/")
    return slashed.rpartition("/")[2] if DRIVE.match(bare) else slashed


def check_sizes(source: Path, names: list[str]) -> None:
    """Raises Refused when a model and the files it needs are too many or too large to copy."""
    if len(names) > MAX_FILES:
        raise Refused(Outcome.TOO_LARGE, f"expected at most {MAX_FILES} files beside the model, got {len(names)}")
    total = sum(path.stat().st_size for path in (source, *(source.parent / name for name in names)))
    if total > MAX_BYTES:
        raise Refused(Outcome.TOO_LARGE, f"expected a model of at most {MAX_BYTES} bytes with its files, got {total}")
