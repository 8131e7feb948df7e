"""What a version changes in the catalogue's table of objects."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow
from numpy.typing import NDArray

from base.outcomes import Outcome
from pipeline.catalog.columns import completed, indices_in, plain, schema, texts
from pipeline.catalog.rows import NOWHERE, ObjectRow

ROW = schema(ObjectRow)
GONE = {**NOWHERE, "outcome": Outcome.REMOVED.value, "reason": ""}
"""What the row of an object says anew when nobody asks for it any more."""


@dataclass(frozen=True)
class Changes:
    """`tables` makes whole rows, part by part, that are new or stand for those with their uid.

    `uids` are theirs, `gone` those of objects that were removed; both are sorted and name no object twice.
    """

    uids: NDArray[np.bytes_]
    tables: Callable[[], Iterable[pyarrow.Table]]
    gone: NDArray[np.bytes_]

    def __len__(self) -> int:
        return len(self.uids) + len(self.gone)

    def touch(self, uids: NDArray[np.bytes_]) -> bool:
        """True when a row of one of these uids is to be another."""
        return bool((indices_in(self.uids, uids) >= 0).any() or (indices_in(self.gone, uids) >= 0).any())

    def applied_to(self, rows: Iterable[pyarrow.Table]) -> Iterator[pyarrow.Table]:
        """All rows as they are to be, given those there are: what stays, what is gone, what is new."""
        for stored in rows:
            part = completed(stored, ObjectRow, ROW.names).cast(ROW)
            uids = texts(part["uid"])
            gone = indices_in(self.gone, uids) >= 0
            yield part.filter(pyarrow.array((indices_in(self.uids, uids) < 0) & ~gone))
            if gone.any():
                yield whole(part.filter(pyarrow.array(gone)), GONE)
        yield from self.tables()


def whole(table: pyarrow.Table, same: Mapping[str, Any]) -> pyarrow.Table:
    """Whole rows: the columns of `table`, but for every row what `same` says where it says something."""
    columns = {}
    for field in ROW:
        if field.name in same:
            repeated = pyarrow.repeat(pyarrow.scalar(same[field.name], field.type), len(table))
            columns[field.name] = pyarrow.chunked_array([repeated])
        else:
            columns[field.name] = plain(table[field.name])
    return pyarrow.table(columns, schema=ROW)
