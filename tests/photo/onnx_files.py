"""ONNX files written byte by byte: no package that writes them is needed."""

from pathlib import Path


def field(number: int, value: bytes | int) -> bytes:
    """One field of a protocol buffer; ONNX files are such."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    more, low = value >> 7, value & 127
    return bytes([low | 128]) + varint(more) if more else bytes([low])


def tensor(name: str, shape: tuple[int, ...]) -> bytes:
    sizes = b"".join(field(1, field(1, size)) for size in shape)
    return field(1, name.encode()) + field(2, field(1, field(1, 1) + field(2, sizes)))


def red_network(path: Path, side: int = 32) -> Path:
    """Write a network that answers with the red channel of its input: one Gather along the channels."""
    index = field(1, 1) + field(2, 7) + field(8, b"which") + field(9, (0).to_bytes(8, "little"))
    axis = field(1, b"axis") + field(3, 1) + field(20, 2)
    gather = (
        b"".join(field(1, name) for name in (b"picture", b"which"))
        + field(2, b"mask")
        + field(4, b"Gather")
        + field(5, axis)
    )
    graph = field(1, gather) + field(2, b"red") + field(5, index)
    graph += field(11, tensor("picture", (1, 3, side, side))) + field(12, tensor("mask", (1, 1, side, side)))
    path.write_bytes(field(1, 8) + field(7, graph) + field(8, field(2, 13)))
    return path
