"""The changes that a version makes in the catalogue's table of objects."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow
from numpy.typing import NDArray

from base.outcomes import Outcome
from pipeline.catalog.columns import complete_columns, indices_in, plain, schema, texts
from pipeline.catalog.rows import NO_LOCATION, ObjectRow

ROW = schema(ObjectRow)
GONE = {**NO_LOCATION, "outcome": Outcome.REMOVED.value, "reason": ""}
"""The new values in the row of a removed object."""


@dataclass(frozen=True)
class Changes:
    """`tables` makes, in parts, whole rows that are new or replace those of the same uid.

    `uids` are their uids, and `gone` those of removed objects. Both are sorted and unique.
    """

    uids: NDArray[np.bytes_]
    tables: Callable[[], Iterable[pyarrow.Table]]
    gone: NDArray[np.bytes_]

    def __len__(self) -> int:
        return len(self.uids) + len(self.gone)

    def touch(self, uids: NDArray[np.bytes_]) -> bool:
        """True if a row of these uids changes."""
        return bool((indices_in(self.uids, uids) >= 0).any() or (indices_in(self.gone, uids) >= 0).any())

    def apply_to(self, rows: Iterable[pyarrow.Table]) -> Iterator[pyarrow.Table]:
        """Yield all rows after the change, given the rows before it."""
        for stored in rows:
            # Tables of earlier releases lack columns, and the engine may return other text types than it was given.
            part = complete_columns(stored, ObjectRow, ROW.names).cast(ROW)
            uids = texts(part["uid"])
            gone = indices_in(self.gone, uids) >= 0
            yield part.filter(pyarrow.array((indices_in(self.uids, uids) < 0) & ~gone))
            if gone.any():
                yield complete_rows(part.filter(pyarrow.array(gone)), GONE)
        yield from self.tables()


def complete_rows(table: pyarrow.Table, same: Mapping[str, Any]) -> pyarrow.Table:
    """Return whole rows: the columns of `table`, and for all rows the values in `same`."""
    columns = {}
    for field in ROW:
        if field.name in same:
            # Arrow repeats in its own buffers; a Python list of a million equal values takes eight megabytes each.
            repeated = pyarrow.repeat(pyarrow.scalar(same[field.name], field.type), len(table))
            columns[field.name] = pyarrow.chunked_array([repeated])
        else:
            columns[field.name] = plain(table[field.name])
    return pyarrow.table(columns, schema=ROW)
