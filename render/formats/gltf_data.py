"""The bytes of a glTF file's buffers, read on demand."""

import base64
import binascii
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from render.formats.refused import corrupt

PIECE = 1 << 22


class Blob(NamedTuple):
    """The data of a buffer: `length` bytes of a file from `offset` on, or `data` where a data URI held them."""

    length: int
    path: Path | None = None
    offset: int = 0
    data: bytes = b""

    @classmethod
    def of_text(cls, uri: str) -> "Blob":
        """Decode the data of a data URI. Raises Refused for broken base64."""
        try:
            data = base64.b64decode(uri.partition(",")[2])
        except binascii.Error as error:
            raise corrupt(f"expected base64 in a data URI, got: {error}") from None
        return cls(len(data), data=data)

    def highest(self, start: int, count: int, dtype: DTypeLike) -> int:
        """Return the largest of `count` integers from byte `start` on, −1 when `count` is 0."""
        highest = -1
        if self.path is None:
            return int(np.frombuffer(self.data, dtype, count, start).max()) if count else highest
        with self.path.open("rb") as stream:
            stream.seek(self.offset + start)
            while count > 0:
                # In pieces: buffers have gigabytes.
                piece = np.fromfile(stream, dtype, min(count, PIECE))
                if not len(piece):
                    raise corrupt("expected the whole of a buffer, got a file that ends before")
                highest, count = max(highest, int(piece.max())), count - len(piece)
        return highest
