"""Material libraries of OBJ files: their materials, and the pictures that these show."""

import os
import re
from dataclasses import dataclass, field

from render.formats.refused import corrupt
from render.formats.sniff import strip_byte_order_mark
from render.formats.surroundings import Surroundings
from render.references import use_slashes

MAX_BYTES = 64 << 20
MATERIAL = re.compile(rb"[ \t]*newmtl[ \t]+(.+)", re.IGNORECASE)
MAP = re.compile(rb"([ \t]*(?:map_\w+|bump|disp|refl|norm|decal)[ \t]+)(.+)", re.IGNORECASE)
OPTIONS = re.compile(rb"(?:-\w+(?:\s+(?:[-+.\d][-+.\de]*|on|off|[rgbmlz]|sphere|cube_\w+)(?=\s))+\s+)*")
"""`-s 2 2 1 `, `-bm 0.5 `, `-clamp on `: what precedes the name of a picture."""


@dataclass
class Library:
    """A library: for each material the file of each picture, None where it is missing, and the text for Blender."""

    name: str
    pictures: dict[bytes, dict[str, str | None]] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)
    text: bytes = b""


def read_library(name: str, around: Surroundings) -> Library:
    """Read the library `name`. Raises Refused for a large library, and for a picture outside the source's root."""
    path = around.path(name)
    if (size := path.stat().st_size) > MAX_BYTES:
        raise corrupt(f"expected at most {MAX_BYTES} bytes in {name}, got {size}")
    library, lines = Library(name), list[bytes]()
    shown: dict[str, str | None] = {}
    for line in strip_byte_order_mark(path.read_bytes()).splitlines():
        if material := MATERIAL.match(line):
            shown = library.pictures.setdefault(material[1].strip(), {})
        named = MAP.match(line)
        lines.append(line if named is None else _with_found_picture(library, shown, named, around))
    library.text = b"\n".join(lines) + b"\n"
    return library


def _with_found_picture(
    library: Library, shown: dict[str, str | None], named: re.Match[bytes], around: Surroundings
) -> bytes:
    """Return the line with the name of the found file; empty without a file."""
    value = named[2].strip()
    # Names may contain blanks, so the options before are cut off by their form.
    options = OPTIONS.match(value)
    raw = value[options.end() if options else 0 :]
    picture = use_slashes(os.fsdecode(raw))
    beside = library.name.rpartition("/")[0]
    found = shown[picture] = around.require(picture, beside=beside)
    # Blender looks for the bare name too, so a file of that name must be in the copy.
    bare = "/".join(filter(None, (beside, picture.rpartition("/")[2])))
    library.files |= {name for name in (found, bare) if name is not None and around.is_file(name)}
    if found is None:
        return b""
    return named[1] + value[: len(value) - len(raw)] + os.fsencode(found)
