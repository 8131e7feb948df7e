"""Check Wavefront OBJ before Blender opens it: text with points, and material libraries near it.

Blender gets a single library, `model.mtl`, with all materials and the names of the pictures found.
"""

import mmap
import re
from collections.abc import Iterator
from pathlib import Path

from render.formats.model_files import ModelFiles, Slice
from render.formats.mtl import Library, read_library
from render.formats.refused import corrupt
from render.formats.sniff import UTF8_MARK
from render.formats.surroundings import Surroundings

POINT = re.compile(rb"^[ \t]*v[ \t]+[-+.0-9]", re.MULTILINE)
LIBRARY = re.compile(rb"^(?:\xef\xbb\xbf)?[ \t]*mtllib[ \t]+([^\r\n]+)", re.MULTILINE)
USED = re.compile(rb"^[ \t]*usemtl[ \t]+([^\r\n]+)", re.MULTILINE)
JOINED_LIBRARY = "model.mtl"
"""Blender reads it beside `model.obj`, whatever the OBJ file names."""


def check_obj(path: Path, around: Surroundings) -> ModelFiles:
    """Find the material libraries and pictures of an OBJ file. Raises Refused for other data."""
    if not (size := path.stat().st_size):
        raise corrupt("expected an OBJ model, got an empty file")
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        end = _end_of_text(data)
        if not POINT.search(data):
            raise corrupt(f"expected an OBJ model with points, got a file without points, starting with {data[:12]!r}")
        # A dict keeps the order, and names each library once.
        named = dict.fromkeys(match[1].strip() for match in LIBRARY.finditer(data))
        used = {match[1].strip() for match in USED.finditer(data)}
        start = len(UTF8_MARK) if data[: len(UTF8_MARK)] == UTF8_MARK else 0
    libraries, lost = _libraries(path.stem, list(named), used, around)
    materials = [name for library in libraries for name in library.pictures]
    # Faces that name no material would stay grey beside a library with a single one, which is surely meant.
    opening = [b"usemtl " + materials[0] + b"\n"] if not used and len(set(materials)) == 1 else []
    body = Slice(path, start, end - start)
    names = sorted({name for library in libraries for name in (library.name, *library.files)})
    return ModelFiles(
        files={name: around.path(name) for name in names},
        texts={library.name: b"" for library in libraries}
        | ({JOINED_LIBRARY: b"\n".join(library.text for library in libraries)} if libraries else {}),
        content=[*opening, body] if opening or body.length < size else None,
        missing=tuple(dict.fromkeys([*lost, *_missing(libraries, used or {*materials[:1]}, bool(used or opening))])),
        warnings=_ignored(start, size - end),
    )


def _end_of_text(data: mmap.mmap) -> int:
    """Where the text ends, and only zeros may follow."""
    end = data.find(b"\0")
    if end < 0:
        return len(data)
    if data[end:].strip(b"\0"):
        raise corrupt(f"expected an OBJ model as text, got bytes that start with {data[:12]!r}")
    return end


def _ignored(mark_bytes: int, zeros: int) -> tuple[str, ...]:
    mark = ("a byte order mark before the text is ignored",) if mark_bytes else ()
    return (*mark, f"{zeros} zeros after the text are ignored") if zeros else mark


def _libraries(
    stem: str, lines: list[bytes], used: set[bytes], around: Surroundings
) -> tuple[list[Library], list[str]]:
    """The libraries found, and the names of missing ones when used materials are undefined.

    A library of the model's own name is read too when materials are not defined: files are often renamed together.
    """
    found, lost = dict[str, Library](), list[str]()
    for line in lines:
        names = _library_names(line, around)
        lost += [] if names else [_text(line)]
        found |= {name: read_library(name, around) for name in names if name not in found}
    defined = {material for library in found.values() for material in library.pictures}
    own = around.find(f"{stem}.mtl", picture=False)
    if own is not None and own not in found and (used - defined or (lost and not used)):
        found[own] = read_library(own, around)
        defined |= found[own].pictures.keys()
    return list(found.values()), lost if used - defined or not (used or defined) else []


def _library_names(line: bytes, around: Surroundings) -> list[str]:
    """The files of a line: a name with blanks, else several names."""
    whole = _text(line)
    if (name := around.require(whole, picture=False)) is not None:
        return [name]
    parts = whole.split() if len(whole.split()) > 1 else []
    return [name for part in parts if (name := around.require(part, picture=False)) is not None]


def _missing(libraries: list[Library], used: set[bytes], is_known_where: bool) -> Iterator[str]:
    """The missing pictures of used materials; all pictures when faces name none of several materials."""
    for library in libraries:
        for material, pictures in library.pictures.items():
            if not is_known_where:
                yield from (f"{name} (no face names its material)" for name in pictures)
            elif material in used:
                yield from (name for name, file in pictures.items() if file is None)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape").strip()
