"""Check USD as text, binary ("crate") or package before Blender opens it, and find its layers and pictures."""

import mmap
import posixpath
import re
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

from render.formats import crate
from render.formats.model_files import ModelFiles
from render.formats.pictures import tile_files
from render.formats.refused import corrupt, unsupported
from render.formats.sniff import ZIP
from render.formats.surroundings import ADDRESS, Surroundings, is_absolute
from render.references import FIRST_TILE, TILES, use_slashes

LAYERS = {".usd", ".usda", ".usdc"}
MAX_FILES = 4096
PACKAGE = ".usdz"
PICTURES = {".png", ".jpg", ".jpeg", ".exr", ".hdr", ".tif", ".tiff", ".tga", ".bmp", ".webp", ".avif", ".tx"}
NAMES_FILES = LAYERS | {PACKAGE} | PICTURES
"""Suffixes of words in a crate that may be file names; in text, file names have marks."""

TEXT_MAGIC = b"#usda 1.0"
MEMBER = struct.Struct("<26xHH")

LEXEME = re.compile(
    rb'''"""(?:\\.|[^\\])*?"""|\'\'\'(?:\\.|[^\\])*?\'\'\'|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|\#[^\n]*'''
    rb"""|@@@(?P<long>[^\n]*?)@@@|@(?P<asset>[^@\n]*)@|(?P<brace>[{}])|(?P<open>["'@])""",
    re.DOTALL,
)
"""Strings, comments, assets and braces; `open` begins a string or an asset without an end."""


def check_usd(path: Path, around: Surroundings) -> ModelFiles:
    """Find the layers and pictures that a USD file needs. Raises Refused for what is not a whole USD file."""
    data = _mapped(path)
    if bytes(data[: len(ZIP)]) == ZIP or path.suffix.lower() == PACKAGE:
        _check_package(path, data)
        return ModelFiles()
    files, missing, todo = dict[str, Path](), dict[str, None](), [(path.name, data)]
    while todo:
        layer, held = todo.pop()
        for asset in find_assets(held):
            # Relative to the layer that names it, not to the model.
            place = posixpath.normpath(posixpath.join(posixpath.dirname(layer), asset))
            if place in {path.name, *files}:
                continue
            suffix = Path(asset).suffix.lower()
            found = _found(asset, posixpath.dirname(layer), suffix in PICTURES, around)
            if found is None:
                missing |= {asset: None} if suffix in PICTURES else {}
                continue
            files |= _staged(place, found, around)
            if suffix in LAYERS:
                todo.append((place, _mapped(around.path(found))))
            if suffix == PACKAGE:
                _check_package(around.path(found), _mapped(around.path(found)))
            if len(files) > MAX_FILES:
                raise unsupported(f"expected at most {MAX_FILES} files per model, got more")
    return ModelFiles(files=dict(sorted(files.items())), missing=tuple(missing))


def _found(asset: str, beside: str, is_picture: bool, around: Surroundings) -> str | None:
    """Return the file of an asset. Raises Refused for a path the private copy cannot have."""
    found = around.require(asset.replace(TILES, str(FIRST_TILE)), beside=beside, picture=is_picture)
    if is_absolute(use_slashes(asset)):
        raise unsupported(f"expected files beside the model, got the absolute path {asset[:80]!r}")
    return found.replace(str(FIRST_TILE), TILES) if found and TILES in asset else found


def _staged(place: str, found: str, around: Surroundings) -> dict[str, Path]:
    """Return the files of an asset by their names in the private copy: the same as in the layer."""
    tiles = [name.removeprefix(found.partition(TILES)[0]) for name in tile_files(found, around)]
    if TILES not in place:
        return {place: around.path(found)}
    start = place.partition(TILES)[0]
    return {start + tile: around.path(found.partition(TILES)[0] + tile) for tile in tiles}


def find_assets(layer: memoryview) -> Iterator[str]:
    """Yield the file names in a layer, as written there. Raises Refused for a broken or truncated layer."""
    if bytes(layer[:8]) == crate.MAGIC:
        words = crate.read_tokens(layer)
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
    # An unfinished download ends inside a prim.
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
            for asset in find_assets(held):
                _within(posixpath.join(posixpath.dirname(member.filename), asset))


def _member(data: memoryview, member: zipfile.ZipInfo) -> memoryview:
    _within(member.filename)
    # USDZ allows neither: readers map the members in place.
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
        raise corrupt(f"expected members stored as they are, got {member.filename[:80]!r} packed or locked")
    head = member.header_offset
    if head + MEMBER.size > len(data):
        raise corrupt(f"expected {member.filename[:80]!r} inside the package, got the end of the file")
    start = head + MEMBER.size + sum(MEMBER.unpack_from(data, head))
    if start + member.file_size > len(data):
        raise corrupt(f"expected {member.file_size} bytes of {member.filename[:80]!r}, got the end of the file")
    return data[start : start + member.file_size]


def _within(name: str) -> None:
    place = posixpath.normpath(use_slashes(name))
    if place.startswith("..") or is_absolute(place) or ADDRESS.match(place):
        raise unsupported(f"expected files inside the package, got {name[:80]!r}, which leaves its folder")


def _mapped(path: Path) -> memoryview:
    if not path.stat().st_size:
        raise corrupt(f"expected a USD file, got an empty file at {path.name}")
    with path.open("rb") as stream:
        return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
