"""The container of a glTF file, binary or text, checked before Blender sees it."""

import json
import struct
from pathlib import Path
from typing import Any

from base.outcomes import Outcome
from render.formats.gltf import Document
from render.formats.gltf_data import Blob
from render.formats.refused import Refused, corrupt, unsupported

HEADER_BYTES = 12
CHUNK_HEADER_BYTES = 8
JSON_CHUNK, BIN_CHUNK = 0x4E4F534A, 0x004E4942
MAX_JSON_BYTES = 256 << 20
MAX_JSON_VALUES = 8 << 20
"""Of lists, mappings and what stands in them: Python needs far more memory for values than they have letters."""


def check_glb(path: Path) -> list[str]:
    """The other files that a binary glTF names. Raises Refused for anything that is not sound glTF 2.0."""
    with path.open("rb") as stream:
        total = path.stat().st_size
        head = stream.read(HEADER_BYTES)
        _check_header(head, total)
        declared, kind = _chunk_header(stream.read(CHUNK_HEADER_BYTES))
        if kind != JSON_CHUNK:
            raise corrupt("expected the first chunk to be JSON, got another kind")
        if declared > min(total - HEADER_BYTES - CHUNK_HEADER_BYTES, MAX_JSON_BYTES):
            raise corrupt(f"expected a JSON chunk inside the file's {total} bytes, got one of {declared} bytes")
        document = _parsed(stream.read(declared))
        rest = stream.read(CHUNK_HEADER_BYTES)
        start = stream.tell()
        length = _blob_length(rest, total - start) if rest else None
        blob = None if length is None else Blob(length, path, start)
    return Document(document, path.parent, blob).companions()


def check_gltf(path: Path) -> list[str]:
    """The other files that a text glTF names. Raises Refused for anything that is not sound glTF 2.0."""
    if (size := path.stat().st_size) > MAX_JSON_BYTES:
        raise corrupt(f"expected at most {MAX_JSON_BYTES} bytes of JSON, got {size}")
    return Document(_parsed(path.read_bytes()), path.parent, None).companions()


def _check_header(head: bytes, total: int) -> None:
    if not head.startswith(b"glTF"):
        raise corrupt(f"expected a binary glTF model, got {_described(head)}")
    if len(head) < HEADER_BYTES:
        raise corrupt(f"expected a binary glTF model, got only its first {len(head)} bytes")
    version, length = struct.unpack("<II", head[4:])
    if version != 2:
        raise unsupported(f"expected glTF version 2, got version {version}")
    if length != total:
        raise corrupt(f"expected {length} bytes as the header says, got {total}")


def _chunk_header(data: bytes) -> tuple[int, int]:
    if len(data) < CHUNK_HEADER_BYTES:
        raise corrupt("expected a chunk after the header, got the end of the file")
    length, kind = struct.unpack("<II", data)
    return length, kind


def _blob_length(data: bytes, left: int) -> int | None:
    length, kind = _chunk_header(data)
    if length > left:
        raise corrupt(f"expected a binary chunk of {length} bytes, got {left}")
    return length if kind == BIN_CHUNK else None


def _parsed(data: bytes) -> dict[str, Any]:
    if (values := sum(map(data.count, (b",", b"[", b"{")))) > MAX_JSON_VALUES:
        raise Refused(Outcome.TOO_LARGE, f"expected at most {MAX_JSON_VALUES} values in the JSON, got up to {values}")
    try:
        document = json.loads(data.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise corrupt(f"expected a glTF model's JSON, got {_described(data)}") from None
    if not isinstance(document, dict):
        raise corrupt(f"expected a JSON object, got {type(document).__name__}")
    return document


def _no_constant(name: str) -> Refused:
    raise ValueError(name)


def _described(data: bytes) -> str:
    if not data:
        return "an empty file"
    return f"something that starts with {data[:12]!r}"
