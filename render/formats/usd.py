"""USD in text, binary ("crate") and package, checked before Blender sees it: whole, and naming only files beside it."""

import mmap
import posixpath
import re
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

from render.formats import crate
from render.formats.beside import MAX_FILES, inside
from render.formats.refused import corrupt, unsupported

LAYERS = {".usd", ".usda", ".usdc"}
PACKAGE = ".usdz"
PICTURES = {".png", ".jpg", ".jpeg", ".exr", ".hdr", ".tif", ".tiff", ".tga", ".bmp", ".webp", ".avif", ".tx"}
NAMES_FILES = LAYERS | {PACKAGE} | PICTURES
"""Ends of words in a crate that may be meant as files; in text they are marked as such."""

TEXT_MAGIC = b"#usda 1.0"
MEMBER = struct.Struct("<26xHH")

LEXEME = re.compile(
    rb'''"""(?:\\.|[^\\])*?"""|\'\'\'(?:\\.|[^\\])*?\'\'\'|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|\#[^\n]*'''
    rb"""|@@@(?P<long>[^\n]*?)@@@|@(?P<asset>[^@\n]*)@|(?P<brace>[{}])|(?P<open>["'@])""",
    re.DOTALL,
)
"""Strings, comments, assets and braces; `open` is what begins a string or an asset and does not end it."""


def check_usd(path: Path) -> list[str]:
    """The layers and pictures that a USD file needs. Raises Refused for what is no whole USD or leaves its folder."""
    data = _mapped(path)
    if path.suffix.lower() == PACKAGE:
        _check_package(path, data)
        return []
    found, todo = set[str](), [path.name]
    while todo:
        layer = todo.pop()
        for asset in assets(data if layer == path.name else _mapped(path.parent / layer)):
            name = inside(path.parent, posixpath.normpath(posixpath.join(posixpath.dirname(layer), asset)))
            if name not in {path.name, *found} and (path.parent / name).is_file():
                found.add(name)
                todo += [name] if Path(name).suffix.lower() in LAYERS else []
                if len(found) > MAX_FILES:
                    raise unsupported(f"expected at most {MAX_FILES} files of one model, got more")
    for name in found:
        if Path(name).suffix.lower() == PACKAGE:
            _check_package(path.parent / name, _mapped(path.parent / name))
    return sorted(found)


def assets(layer: memoryview) -> Iterator[str]:
    """The names of files in a layer, as they stand there. Raises Refused for what is no whole layer."""
    if bytes(layer[:8]) == crate.MAGIC:
        words = crate.tokens(layer)
        yield from (word for word in words if Path(word[-8:]).suffix.lower() in NAMES_FILES)
    elif bytes(layer[: len(TEXT_MAGIC)]) == TEXT_MAGIC:
        yield from _assets_of_text(layer)
    else:
        raise corrupt(f"expected a USD layer, got something that starts with {bytes(layer[:12])!r}")


def _assets_of_text(layer: memoryview) -> Iterator[str]:
    depth = 0
    for match in LEXEME.finditer(layer):
        if match["open"]:
            raise corrupt(f"expected {match['open'].decode()} to be closed in a USD layer, got the end of its line")
        if match["brace"]:
            depth += 1 if match["brace"] == b"{" else -1
        elif name := match["asset"] or match["long"]:
            yield bytes(name).decode("utf-8", "replace").strip()
    if depth:
        raise corrupt("expected a whole USD layer, got braces that are not in pairs")


def _check_package(path: Path, data: memoryview) -> None:
    try:
        with zipfile.ZipFile(path) as package:
            members = package.infolist()
    except (zipfile.BadZipFile, ValueError, struct.error, NotImplementedError) as error:
        raise corrupt(f"expected a USDZ package, got: {error}") from None
    if not members or Path(members[0].filename).suffix.lower() not in LAYERS or len(members) > MAX_FILES:
        raise corrupt("expected a USDZ package that begins with a layer, got another kind of archive")
    for member in members:
        held = _member(data, member)
        if Path(member.filename).suffix.lower() in LAYERS:
            for asset in assets(held):
                _within(path.parent, posixpath.join(posixpath.dirname(member.filename), asset))


def _member(data: memoryview, member: zipfile.ZipInfo) -> memoryview:
    _within(Path(), member.filename)
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
        raise corrupt(f"expected members stored as they are, got {member.filename[:80]!r} packed or locked")
    head = member.header_offset
    if head + MEMBER.size > len(data):
        raise corrupt(f"expected {member.filename[:80]!r} inside the package, got the end of the file")
    start = head + MEMBER.size + sum(MEMBER.unpack_from(data, head))
    if start + member.file_size > len(data):
        raise corrupt(f"expected {member.file_size} bytes of {member.filename[:80]!r}, got the end of the file")
    return data[start : start + member.file_size]


def _within(folder: Path, name: str) -> None:
    inside(folder, posixpath.normpath(name))


def _mapped(path: Path) -> memoryview:
    if not path.stat().st_size:
        raise corrupt(f"expected a USD file, got an empty file at {path.name}")
    with path.open("rb") as stream:
        return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
