"""Check STL before Blender opens it: triangles only, binary or text."""

from pathlib import Path

from render.formats.model_files import ModelFiles, Slice
from render.formats.refused import corrupt
from render.formats.surroundings import Surroundings

HEADER_BYTES = 84
TRIANGLE_BYTES = 50
END_BYTES = 1024


def check_stl(path: Path, _around: Surroundings) -> ModelFiles:
    """Check that a file is a whole STL, binary or text, and cut bytes after a binary model. Raises Refused."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(HEADER_BYTES)
        expected = HEADER_BYTES + TRIANGLE_BYTES * int.from_bytes(head[80:84], "little")
        # Length first: binary files often begin with `solid` too.
        if len(head) == HEADER_BYTES and size == expected:
            return ModelFiles()
        is_text = head.lstrip()[:5].lower() == b"solid"
        # A count that fits inside the file is trusted, and the rest is cut off.
        if not is_text and HEADER_BYTES + TRIANGLE_BYTES <= expected < size:
            ignored = f"{size - expected} bytes after the end of the model are ignored"
            return ModelFiles(content=[Slice(path, 0, expected)], warnings=(ignored,))
        if not is_text:
            raise corrupt(f"expected an STL model of {expected} bytes as its header says, got {size}")
        stream.seek(max(0, size - END_BYTES))
        end = stream.read()
    if b"\0" in head or b"endsolid" not in end.lower():
        raise corrupt(f"expected an STL model as text that ends with endsolid, got {end[-12:]!r}")
    return ModelFiles()
