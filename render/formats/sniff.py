"""The format of a model by its first bytes; a file's name only decides where the bytes do not."""

import json
import re
from pathlib import Path

from render.formats.suffixes import READ_SUFFIXES, USD_SUFFIXES

HEAD_BYTES = 4096
STL_HEADER_BYTES, STL_TRIANGLE_BYTES = 84, 50
MAGIC = {
    b"glTF": ".glb",
    b"Kaydara FBX Binary": ".fbx",
    b"; FBX": ".fbx",
    b"PXR-USDC": ".usdc",
    b"#usda": ".usda",
    b"BLENDER": ".blend",
    b"ply\n": ".ply",
    b"ply\r": ".ply",
}
PACKED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
"""Gzip and Zstandard, in which Blender packs its files."""

ZIP = b"PK\x03\x04"
ZIP_NAME_AT = 30
UTF8_MARK = b"\xef\xbb\xbf"
JSON_OBJECT = re.compile(r'\s*\{\s*"')
OBJ_LINE = re.compile(rb"^[ \t]*(v|vn|vt)([ \t]+[-+]?[.\d][-+.\deE]*){2,}|^[ \t]*(mtllib|usemtl)[ \t]", re.MULTILINE)


def format_of(path: Path) -> str:
    """Return the suffix of the format that a file has by its bytes, else by its name. Raises OSError."""
    named = path.suffix.lower()
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    found = _by_magic(head)
    if found in USD_SUFFIXES and named in USD_SUFFIXES:
        return named if (named == ".usdz") == (found == ".usdz") else found.replace(".usdc", ".usd")
    if found:
        return found
    # Bytes without a mark are what the name says; the check of that format then decides.
    if named in READ_SUFFIXES:
        return named
    return _by_guess(head, path.stat().st_size) or named


def strip_byte_order_mark(data: bytes) -> bytes:
    """Return text without the byte order mark of UTF-8 before it."""
    return data.removeprefix(UTF8_MARK)


def _by_magic(head: bytes) -> str:
    for magic, suffix in MAGIC.items():
        if head.startswith(magic):
            return suffix
    if head.startswith(ZIP) and Path(_first_member(head)).suffix.lower() in USD_SUFFIXES:
        return ".usdz"
    return ".gltf" if JSON_OBJECT.match(head.decode(json.detect_encoding(head), "replace")) else ""


def _by_guess(head: bytes, size: int) -> str:
    """What a file without a known name may be."""
    if head.startswith(PACKED):
        return ".blend"
    if head.lstrip()[:5].lower() == b"solid" and b"facet" in head.lower():
        return ".stl"
    triangles = int.from_bytes(head[80:STL_HEADER_BYTES], "little")
    # Binary STL has no mark; its length follows from its count of triangles.
    if triangles and size == STL_HEADER_BYTES + STL_TRIANGLE_BYTES * triangles:
        return ".stl"
    return ".obj" if b"\0" not in head and OBJ_LINE.search(strip_byte_order_mark(head)) else ""


def _first_member(head: bytes) -> str:
    length = int.from_bytes(head[26:28], "little")
    return head[ZIP_NAME_AT : ZIP_NAME_AT + length].decode("utf-8", "replace")
