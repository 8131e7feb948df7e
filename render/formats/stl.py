"""STL, checked before Blender sees it: triangles and nothing else, binary or text."""

from pathlib import Path

from render.formats.refused import corrupt

HEADER_BYTES = 84
TRIANGLE_BYTES = 50
END_BYTES = 1024


def check_stl(path: Path) -> list[str]:
    """No other files. Raises Refused for what is neither a binary STL of its own length nor a whole text one."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(HEADER_BYTES)
        expected = HEADER_BYTES + TRIANGLE_BYTES * int.from_bytes(head[80:84], "little")
        if len(head) == HEADER_BYTES and size == expected:
            return []
        if not head.lstrip()[:5].lower() == b"solid":
            raise corrupt(f"expected an STL model of {expected} bytes as its header says, got {size}")
        stream.seek(max(0, size - END_BYTES))
        end = stream.read()
    if b"\0" in head or b"endsolid" not in end.lower():
        raise corrupt(f"expected an STL model as text that ends with endsolid, got {end[-12:]!r}")
    return []
