"""Records of the same kind by uid, held as Arrow columns: a million take hundreds of megabytes instead of gigabytes."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import fields
from itertools import islice
from typing import Any, Generic, TypeVar

import numpy as np
import pyarrow
from numpy.typing import NDArray
from pyarrow import compute

from pipeline.catalog.memory import release_memory
from pipeline.catalog.rows import FOUND

T = TypeVar("T")
Indices = NDArray[np.int64]
CHUNK = 1 << 12
"""The number of records held as Python objects at a time."""
REPEATED = frozenset(
    {
        *("source", "licence", "category", "outcome", "reason", "phase", "checks"),
        *("split", "shard_name", "shard_sha256", "missing_pictures"),
    }
)
"""Columns with few distinct values, stored as dictionaries."""


ADDED = frozenset(FOUND)
"""Columns missing from tables of earlier releases, and null in their rows once a later release adds rows."""


def schema(kind: type) -> pyarrow.Schema:
    """The columns of a dataclass of texts, numbers and, under the name `seconds`, times by phase."""
    types: dict[Any, Any] = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64()}
    phases = pyarrow.map_(pyarrow.string(), pyarrow.float64())
    return pyarrow.schema(
        [(item.name, phases if item.name == "seconds" else types[item.type]) for item in fields(kind)]
    )


def table_of(kind: type, records: Sequence[Any]) -> pyarrow.Table:
    """Records as a table with a column for each field."""
    columns = {item.name: [getattr(record, item.name) for record in records] for item in fields(kind)}
    if "seconds" in columns:
        # Arrow's maps keep their order, and equal records should be equal bytes.
        columns["seconds"] = [sorted(seconds.items()) for seconds in columns["seconds"]]
    return pyarrow.table(columns, schema=schema(kind))


def complete_columns(table: pyarrow.Table, kind: type, names: Collection[str]) -> pyarrow.Table:
    """Return the columns `names` of a table in that order, with the field's default for unrecorded values."""
    columns = {}
    for item in fields(kind):
        if item.name not in names:
            continue
        if item.name not in table.column_names:
            kept = schema(kind).field(item.name).type
            columns[item.name] = pyarrow.chunked_array([pyarrow.repeat(pyarrow.scalar(item.default, kept), len(table))])
        elif item.name in ADDED and table[item.name].null_count:
            columns[item.name] = plain(table[item.name]).fill_null(item.default)
        else:
            columns[item.name] = table[item.name]
    return pyarrow.table(columns)


def texts(column: pyarrow.ChunkedArray) -> NDArray[np.bytes_]:
    """Return a column of ASCII texts as a fast sortable array, with empty texts for nulls.

    Raises UnicodeEncodeError for other texts.
    """
    # In chunks: the padding to the longest text would otherwise multiply the memory of a whole column.
    return np.concatenate([_texts(column.slice(start, CHUNK)) for start in range(0, len(column) or 1, CHUNK)])


def _texts(column: pyarrow.ChunkedArray) -> NDArray[np.bytes_]:
    whole = column.cast(pyarrow.string()).fill_null("").combine_chunks()
    longest = compute.max(compute.binary_length(whole)).as_py() or 1
    if not compute.all(compute.string_is_ascii(whole)).as_py():
        # Slow, but only to raise the error of the first text outside ASCII.
        return np.array(whole.to_pylist(), np.bytes_)
    # Padded to one length, Arrow's buffer is an array of numpy as it is: no text becomes a Python object.
    padded = compute.utf8_rpad(whole, longest, "\0").buffers()[2]
    return np.frombuffer(padded or b"", f"S{longest}", len(whole))


def indices_in(ordered: NDArray[np.bytes_], sought: NDArray[np.bytes_]) -> Indices:
    """Return the index of each of the texts `sought` in the `ordered` texts, −1 for an absent text."""
    if not len(ordered) or not len(sought):
        return np.full(len(sought), -1)
    # A text after the last would be out of bounds; its neighbour differs from it, so the answer is still −1.
    found = np.minimum(np.searchsorted(ordered, sought), len(ordered) - 1)
    return np.where(ordered[found] == sought, found, -1)


class Columns(Mapping[str, T], Generic[T]):
    """A mapping from uid to record, in order of uid. Records are made on access.

    An `index` below is a record's position in that order. The last of several records with the same uid counts;
    `overruled_records` gives the others. Columns stay unsorted: sorting would double their memory.
    """

    def __init__(self, kind: type[T], columns: dict[str, pyarrow.ChunkedArray]) -> None:
        """Empties `columns`: at most a single column is in memory twice."""
        uids = texts(columns.pop("uid"))
        # Stable, so that the last record of a uid stays the last of its equals.
        order = np.argsort(uids, kind="stable")
        uids = uids[order]
        self._overruled, self._overruled_uids = order[:0], uids[:0]
        if (again := uids[1:] == uids[:-1]).any():
            last = np.append(~again, True)
            self._overruled, self._overruled_uids = order[~last], uids[~last]
            uids, order = uids[last], order[last]
        self.kind, self.uids, self._order = kind, uids, order
        said = dict[str, pyarrow.ChunkedArray]()
        for name in list(columns):
            # A take from many chunks is slow, and combining copies, so each old column goes at once.
            said[name] = columns.pop(name).combine_chunks()
            release_memory()
        self._said = pyarrow.table(said)

    @classmethod
    def of(cls, kind: type[T], records: Iterable[T]) -> "Columns[T]":
        """Collect records from an iterable, few of them as Python objects at a time."""
        stream = iter(records)
        chunks = iter(lambda: list(islice(stream, CHUNK)), [])
        return cls.from_tables(kind, (table_of(kind, chunk) for chunk in chunks))

    @classmethod
    def from_tables(cls, kind: type[T], tables: Iterable[pyarrow.Table]) -> "Columns[T]":
        """Collect the records of several tables."""
        names = schema(kind).names
        # Compacted part by part: the texts of a whole catalogue never exist side by side.
        parts = [compact(complete_columns(table, kind, names).cast(schema(kind))) for table in tables]
        whole = pyarrow.concat_tables(parts or [compact(schema(kind).empty_table())]).unify_dictionaries()
        columns = dict(zip(whole.column_names, whole.columns, strict=True))
        # Else these names would keep every column alive during the copies below.
        del parts, whole
        return cls(kind, columns)

    def __len__(self) -> int:
        return len(self.uids)

    def __iter__(self) -> Iterator[str]:
        return (uid.decode() for uid in self.uids)

    def __getitem__(self, uid: str) -> T:
        index = int(self.indices([uid])[0])
        if index < 0:
            raise KeyError(uid)
        return self.at([index])[0]

    def __contains__(self, uid: object) -> bool:
        return isinstance(uid, str) and bool(self.indices([uid])[0] >= 0)

    def indices(self, uids: Sequence[str] | NDArray[np.bytes_]) -> Indices:
        """Return the index of each of `uids`, −1 for an unknown uid."""
        return indices_in(self.uids, np.asarray(uids, dtype=np.bytes_))

    def rows(self, indices: Sequence[int] | Indices) -> pyarrow.Table:
        """Return the records at some indices as a table."""
        return self._table(self.uids[indices], self._order[indices])

    def _table(self, uids: NDArray[np.bytes_], order: Indices) -> pyarrow.Table:
        taken = self._said.take(pyarrow.array(order, pyarrow.int64()))
        return taken.add_column(0, "uid", pyarrow.array(uids, pyarrow.binary()).cast(pyarrow.string()))

    def overruled_records(self) -> pyarrow.Table:
        """Return the records replaced by a later record of the same uid."""
        return self._table(self._overruled_uids, self._overruled)

    def with_uids(self, uids: NDArray[np.bytes_]) -> "Columns[T]":
        """Return the same records under other uids, given by index. Both share their columns."""
        order = np.argsort(uids, kind="stable")
        renamed = copy(self)
        renamed.uids, renamed._order = uids[order], self._order[order]
        return renamed

    def at(self, indices: Sequence[int] | Indices) -> list[T]:
        """Return the records at some indices."""
        taken = self.rows(indices)
        names = taken.column_names
        rows = zip(*(column.to_pylist() for column in taken.columns), strict=True)
        return [self.kind(**dict(zip(names, row, strict=True))) for row in rows]

    def records(self, indices: Indices | None = None) -> Iterator[T]:
        """Yield all records, or those at some indices, in that order."""
        wanted = np.arange(len(self)) if indices is None else indices
        for start in range(0, len(wanted), CHUNK):
            yield from self.at(wanted[start : start + CHUNK])

    def share_uids(self, others: "Columns[Any]") -> None:
        """Share the array of uids with other records if they are equal, to save memory."""
        if np.array_equal(self.uids, others.uids):
            self.uids = others.uids

    def column(self, name: str) -> pyarrow.ChunkedArray:
        """Return a column other than the uid as plain values, in order of uid."""
        return plain(self._said[name].take(self._order))

    def counts(self, name: str, indices: Indices | None = None) -> dict[str, int]:
        """Count the texts in a column, or at some of its indices, most frequent first."""
        order = self._order if indices is None else self._order[indices]
        column = plain(self._said[name].take(order))
        counted = ((row["values"], row["counts"]) for row in column.value_counts().to_pylist())
        # By name among equals: Arrow's order depends on which value came first.
        return dict(sorted(counted, key=lambda item: (-item[1], item[0])))

    def align(self, name: str, indices: Indices, absent: Any) -> pyarrow.ChunkedArray:
        """Return a column at `indices`, with `absent` for an index of −1."""
        absent_here = indices < 0
        # Without records every index is −1, and numpy would refuse to look any of them up.
        order = self._order[indices] if len(self) else indices
        taken = plain(self._said[name].take(pyarrow.array(order, mask=absent_here)))
        return taken if absent is None else taken.fill_null(absent)


def compact(table: pyarrow.Table) -> pyarrow.Table:
    """Return the table with repetitive columns as dictionaries."""
    for index, name in enumerate(table.column_names):
        if name in REPEATED:
            table = table.set_column(index, name, table[name].dictionary_encode())
    return table.unify_dictionaries()


def plain(column: pyarrow.ChunkedArray) -> pyarrow.ChunkedArray:
    """Return a column without a dictionary, with texts of a single type."""
    # deltalake's engine returns string views, and parts of a table can differ in type; concatenation wants equal types.
    kind = column.type.value_type if pyarrow.types.is_dictionary(column.type) else column.type
    return column.cast(pyarrow.string() if pyarrow.types.is_string_view(kind) else kind)
