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

    `files` are needed, by the name that each has in the private copy. `texts` are files of the copy that are written
    anew. `content` replaces the model's own bytes when it is not None. `pictures` gives the name in the copy of each
    picture that a binary format refers to. `missing` are pictures that are not there or cannot be read.
    """

    suffix: str = ""
    files: Mapping[str, Path] = field(default_factory=dict)
    texts: Mapping[str, bytes] = field(default_factory=dict)
    content: Sequence[bytes | Slice] | None = None
    pictures: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
