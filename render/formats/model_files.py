"""Results of the check of a model: the bytes for Blender, the needed files, and the missing pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple


class Slice(NamedTuple):
    """`length` bytes of a file from `start` on."""

    path: Path
    start: int
    length: int


@dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """The files of a model. Names are relative to the model's folder, with `/`, and may begin with `../`.

    `files` are the needed files by their names in the private copy. `texts` are files of the copy with new text.
    `content` replaces the model's own bytes when it is not None. `pictures` maps the pictures of a binary format to
    their names in the copy. `missing` are absent or unreadable pictures.
    """

    suffix: str = ""
    files: Mapping[str, Path] = field(default_factory=dict)
    texts: Mapping[str, bytes] = field(default_factory=dict)
    content: Sequence[bytes | Slice] | None = None
    pictures: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
