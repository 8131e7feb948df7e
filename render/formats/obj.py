"""Wavefront OBJ, checked before Blender sees it: it is text with points, and its materials lie beside it."""

import mmap
import re
from collections.abc import Iterator
from pathlib import Path

from render.formats.beside import inside, windows_name
from render.formats.refused import corrupt

MAX_MTL_BYTES = 64 << 20
POINT = re.compile(rb"^[ \t]*v[ \t]+[-+.0-9]", re.MULTILINE)
LIBRARY = re.compile(rb"^[ \t]*mtllib[ \t]+([^\r\n]+)", re.MULTILINE)
MAP = re.compile(rb"^[ \t]*(?:map_\w+|bump|disp|refl|norm|decal)[ \t]+([^\r\n]+)", re.MULTILINE | re.IGNORECASE)
OPTION = re.compile(r"-\w+(?:\s+(?:[-+.\d][-+.\de]*|on|off|[rgbmlz])(?=\s))+\s+")
"""`-s 2 2 1 `, `-bm 0.5 `, `-clamp on `: what stands before the name of a picture."""


def check_obj(path: Path) -> list[str]:
    """The material libraries and pictures that an OBJ file names. Raises Refused for what is no such text."""
    if not path.stat().st_size:
        raise corrupt("expected an OBJ model, got an empty file")
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data.find(b"\0") >= 0:
            raise corrupt(f"expected an OBJ model as text, got bytes that start with {data[:12]!r}")
        if not POINT.search(data):
            raise corrupt(f"expected an OBJ model with points, got none in a file that starts with {data[:12]!r}")
        libraries = {_text(match) for match in LIBRARY.finditer(data)}
    return sorted({name for library in libraries for name in _library_files(path.parent, library)})


def _library_files(folder: Path, name: str) -> Iterator[str]:
    name = inside(folder, windows_name(name))
    if not (folder / name).is_file():
        return
    yield name
    if (size := (folder / name).stat().st_size) > MAX_MTL_BYTES:
        raise corrupt(f"expected at most {MAX_MTL_BYTES} bytes in {name}, got {size}")
    beside = name.rpartition("/")[0]
    for match in MAP.finditer((folder / name).read_bytes()):
        picture = windows_name(OPTION.sub("", _text(match)))
        for part in {inside(folder, picture), picture.rpartition("/")[2]}:
            found = inside(folder, f"{beside}/{part}" if beside else part)
            if (folder / found).is_file():
                yield found


def _text(match: re.Match[bytes]) -> str:
    return match[1].decode("utf-8", "replace").strip()
