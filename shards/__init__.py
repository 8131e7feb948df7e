"""Samples and shards: write, read, verify and stream them.

`from shards import read` streams training pairs; see `shards.stream.read`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shards.stream import read

__all__ = ["read"]


def __getattr__(name: str) -> Any:
    # On first use, so that the modules of this package import each other without loading the stream.
    if name == "read":
        from shards.stream import read

        return read
    raise AttributeError(f"module 'shards' has no attribute {name!r}")
