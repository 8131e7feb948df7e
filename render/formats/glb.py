"""The container of a glTF file, binary or text, checked before Blender sees it."""

import json
import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from base.outcomes import Outcome
from render.formats.gltf import Document
from render.formats.gltf_data import Blob
from render.formats.model_files import ModelFiles, Slice
from render.formats.refused import Refused, corrupt, unsupported
from render.formats.surroundings import Surroundings

HEADER = struct.Struct("<4sII")
CHUNK_HEADER_BYTES = 8
JSON_CHUNK, BIN_CHUNK = 0x4E4F534A, 0x004E4942
MAX_JSON_BYTES = 256 << 20
MAX_JSON_VALUES = 8 << 20
"""Of lists, mappings and their items: Python needs far more memory for values than they have letters."""

FILLING = b"\0 \t\r\n"
"""Bytes of some exporters after the JSON."""


def check_glb(path: Path, around: Surroundings) -> ModelFiles:
    """Find the other files of a binary glTF. Raises Refused unless it is sound glTF 2.0."""
    with path.open("rb") as stream:
        size = path.stat().st_size
        declared = _declared_length(stream.read(HEADER.size), size)
        length, kind = _chunk_header(stream.read(CHUNK_HEADER_BYTES))
        if kind != JSON_CHUNK:
            raise corrupt("expected the first chunk to be JSON, got another kind")
        if length > min(declared - stream.tell(), MAX_JSON_BYTES):
            raise corrupt(f"expected a JSON chunk inside the file's {declared} bytes, got a chunk of {length} bytes")
        text = stream.read(length)
        # The binary chunk is optional.
        rest = stream.read(min(CHUNK_HEADER_BYTES, declared - stream.tell()))
        start = stream.tell()
    blob_length = _blob_length(rest, declared - start) if rest else None
    blob = None if blob_length is None else Blob(blob_length, path, start)
    document, ignored = _parsed(text)
    files, is_changed = Document(document, around, blob).files()
    if size > declared:
        ignored.append(f"{size - declared} bytes after the end of the model are ignored")
    if not (is_changed or ignored):
        return files
    after = Slice(path, start - len(rest), declared - start + len(rest))
    return replace(files, content=_binary(document, after), warnings=(*ignored, *files.warnings))


def check_gltf(path: Path, around: Surroundings) -> ModelFiles:
    """Find the other files of a text glTF. Raises Refused unless it is sound glTF 2.0."""
    if (size := path.stat().st_size) > MAX_JSON_BYTES:
        raise corrupt(f"expected at most {MAX_JSON_BYTES} bytes of JSON, got {size}")
    document, ignored = _parsed(path.read_bytes())
    files, is_changed = Document(document, around, None).files()
    if not (is_changed or ignored):
        return files
    return replace(files, content=[json.dumps(document).encode()], warnings=(*ignored, *files.warnings))


def _binary(document: dict[str, Any], after: Slice) -> Sequence[bytes | Slice]:
    """A whole binary glTF of this JSON and of the chunks after it."""
    text = json.dumps(document).encode()
    # Chunks start at multiples of four; JSON is filled with blanks.
    text += b" " * (-len(text) % 4)
    total = HEADER.size + CHUNK_HEADER_BYTES + len(text) + after.length
    return [HEADER.pack(b"glTF", 2, total) + struct.pack("<II", len(text), JSON_CHUNK) + text, after]


def _declared_length(head: bytes, size: int) -> int:
    if not head.startswith(b"glTF"):
        raise corrupt(f"expected a binary glTF model, got {_described(head)}")
    if len(head) < HEADER.size:
        raise corrupt(f"expected a binary glTF model, got only its first {len(head)} bytes")
    _, version, declared = HEADER.unpack(head)
    if version != 2:
        raise unsupported(f"expected glTF version 2, got version {version}")
    if declared > size:
        raise corrupt(f"expected {declared} bytes as the header says, got {size}")
    return int(declared)


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


def _parsed(data: bytes) -> tuple[dict[str, Any], list[str]]:
    """The JSON, and a sentence for each ignored part of `data`: a mark before it, zeros after it."""
    # Counted before parsing, where the memory would be spent.
    if (values := sum(map(data.count, (b",", b"[", b"{")))) > MAX_JSON_VALUES:
        raise Refused(Outcome.TOO_LARGE, f"expected at most {MAX_JSON_VALUES} values in the JSON, got up to {values}")
    # JSON may come as UTF-16 or with a mark, although glTF asks for plain UTF-8.
    encoding = json.detect_encoding(data)
    ignored = [] if encoding == "utf-8" else ["a byte order mark before the JSON is ignored"]
    text = data.rstrip(FILLING) if encoding.startswith("utf-8") else data
    if b"\0" in data[len(text) :]:
        ignored.append("zeros after the JSON are ignored")
    try:
        # Python reads NaN and Infinity, which JSON does not have.
        document = json.loads(text.decode(encoding), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise corrupt(f"expected a glTF model's JSON, got {_described(data)}") from None
    if not isinstance(document, dict):
        raise corrupt(f"expected a JSON object, got {type(document).__name__}")
    return document, ignored


def _no_constant(name: str) -> Refused:
    raise ValueError(name)


def _described(data: bytes) -> str:
    if not data:
        return "an empty file"
    return f"something that starts with {data[:12]!r}"
