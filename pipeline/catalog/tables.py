"""The catalogue: two Delta Lake tables, readable by any engine, and the version files derived from them.

A version of the dataset is a version of the table `objects`. `versions/<n>.json` follows from version n of the table,
and is derived again if a crash came between the two.
"""

import json
import math
import re
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np
import pyarrow
from numpy.typing import NDArray
from pyarrow import compute

from base.errors import Failure
from base.outcomes import Outcome
from base.storage import Storage
from pipeline.catalog.changes import ROW, Changes
from pipeline.catalog.columns import REPEATED, Columns, plain, table_of, texts
from pipeline.catalog.engine import give_engine_threads
from pipeline.catalog.memory import release_memory
from pipeline.catalog.rows import FOUND, Attempt, ObjectRow
from pipeline.catalog.table_addresses import check_root, table_address
from shards.version import SCHEMA, Samples, ShardEntry, Version, version_name, version_numbers

OBJECTS, ATTEMPTS = "catalog/objects", "catalog/attempts"
METADATA_KEY, TOKEN_KEY = "zero123", "zero123_commit"
SHARD_COLUMNS = ("shard_name", "split", "shard", "shard_bytes", "shard_sha256")
SAMPLE_COLUMNS = ("uid", "shard_name", "sample_offset", "sample_bytes")
ATTEMPT_COLUMNS = ("attempt", "run", "uid", "outcome", "reason", "phase", "sha256", "fingerprint", "checks", "at")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""Terminal colours in deltalake's errors."""
KNOWN = (OSError, KeyError, TypeError, ValueError)
"""Errors that the engine raises beside its own."""
LOG_STAYS = {"delta.enableExpiredLogCleanup": "false"}
"""Keep commits: without them, versions older than a month could not be dated or restored."""
STATISTICS_COLUMNS = ("uid", "outcome", "shard")
"""Columns with min/max statistics, so that readers can skip row groups."""
ROWS_AT_A_TIME, ROWS_IN_A_GROUP, FILE_BYTES = 1 << 14, 1 << 13, 16 << 20
"""Rows per read, and small row groups and files, which limit the memory of a write."""


@dataclass(frozen=True)
class VersionFacts:
    """The facts of a version beside its shards, and the settings of its views; stored with the table's commit."""

    settings_digest: str
    views: int
    hw: tuple[int, int]
    settings: Mapping[str, Any] = field(default_factory=dict)


class Catalog:
    """The catalogue of a dataset. Every method raises Failure for a table that cannot be read or written.

    Raises UsageError for a root with a character misread by the tables' engine.
    """

    def __init__(self, storage: Storage) -> None:
        check_root(storage)
        give_engine_threads()
        self.storage = storage

    def objects(self, version: int | None = None) -> Columns[ObjectRow]:
        """Return the row of every object ever asked for, by uid, as of a version; today's if None."""
        with self._reporting(OBJECTS):
            return Columns.from_tables(ObjectRow, self.rows(version))

    def rows(self, version: int | None = None) -> Iterator[pyarrow.Table]:
        """Yield the same rows in parts, in no order."""
        return self.parts(OBJECTS, "select * from rows", version)

    def counts(self, column: str, where: str = "true") -> dict[str, int]:
        """Count the rows of `objects` by the value of a column, most frequent first."""
        query = f"select {column} as said, count(*) as n from rows where {where} group by said order by n desc, said"  # noqa: S608
        return {row["said"]: row["n"] for row in self.select(OBJECTS, query)}

    def select(self, name: str, query: str) -> list[dict[str, Any]]:
        """Run a query on table `name`, which it calls `rows`. The table need not fit into memory."""
        return [row for part in self.parts(name, query) for row in part.to_pylist()]

    def parts(self, name: str, query: str, version: int | None = None) -> Iterator[pyarrow.Table]:
        """Run the same query and yield its result in parts; nothing if there is no such table.

        It uses the table's own engine: pyarrow's readers leave threads that sometimes abort the exit.
        """
        from deltalake import QueryBuilder

        table = self._table(name, version)
        if table is not None:
            with self._reporting(name):
                yield from _gather(map(pyarrow.table, QueryBuilder().register("rows", table).execute(query)))

    def columns(self, name: str, version: int | None = None) -> frozenset[str]:
        """Return the columns of table `name`, fewer in tables of earlier releases; empty if there is no such table."""
        table = self._table(name, version)
        with self._reporting(name):
            return frozenset(field.name for field in table.schema().fields) if table is not None else frozenset()

    def attempts(self, uids: Collection[str] | None = None) -> list[Attempt]:
        """Return every recorded attempt, or those at some objects, oldest first."""
        return self._attempts("*", "true" if uids is None else f"uid in ({sql_list(uids)})")

    def troubled_attempts(self) -> list[Attempt]:
        """Return every attempt at objects with a failed attempt, oldest first, for the next plan.

        Other columns, such as Blender's output, are left out.
        """
        bad = f"(select uid from rows where outcome <> {sql_list([Outcome.OK])})"  # noqa: S608
        # A query for a column unknown to the table is an error of the engine, and old tables lack some.
        there = self.columns(ATTEMPTS)
        noted = [name for name in (*ATTEMPT_COLUMNS, *FOUND) if name in there]
        return self._attempts(", ".join(noted), f"uid in {bad}")

    def recorded_attempts(self, attempts: Collection[str]) -> set[str]:
        """Return the names of these attempts already recorded."""
        query = f"select attempt from rows where attempt in ({sql_list(attempts)})"  # noqa: S608
        return {row["attempt"] for row in self.select(ATTEMPTS, query)}

    def record(self, attempts: Sequence[Attempt]) -> None:
        """Append attempts, and add missing columns. It takes milliseconds during a run."""
        if not attempts:
            return
        from deltalake import write_deltalake

        with self._reporting(ATTEMPTS):
            address = table_address(self.storage, ATTEMPTS)
            # An append reads no earlier rows, so it stays quick in a large table.
            write_deltalake(address, table_of(Attempt, attempts), mode="append", schema_mode="merge")

    def replace(self, name: str, rows: pyarrow.Table) -> None:
        """Replace all rows of table `name`, a table of its own beside `objects` and `attempts`."""
        from deltalake import write_deltalake

        with self._reporting(name):
            write_deltalake(table_address(self.storage, name), rows, mode="overwrite", schema_mode="overwrite")

    def commit(self, changes: Changes, facts: VersionFacts) -> None:
        """Make `changes` in `objects`. `newest`, or the next command, publishes the version.

        The caller can drop the changes between the two steps, to save memory.
        """
        from deltalake import CommitProperties, DeltaTable
        from deltalake.exceptions import DeltaError

        # A commit whose answer is lost raises although it was made. The token in it tells the two cases apart.
        token = secrets.token_hex(8)
        known = {METADATA_KEY: json.dumps(asdict(facts)), TOKEN_KEY: token}
        with self._reporting(OBJECTS):
            address = table_address(self.storage, OBJECTS)
            # Version 0 is the empty table, so the first version of a dataset is 1.
            table = self._table(OBJECTS) or DeltaTable.create(address, ROW, configuration=LOG_STAYS)
            try:
                self._write(table, changes, CommitProperties(custom_metadata=known))
            except DeltaError:
                if not self._stands(token):
                    raise

    def _write(self, table: Any, changes: Changes, said: Any) -> None:
        """Append if all rows are new; else write all rows anew, in parts.

        deltalake's own merge holds both sides in memory.
        """
        from deltalake import write_deltalake

        known = self.parts(OBJECTS, "select uid from rows")
        # An append replaces nothing: the table would have two rows of an object.
        renewed = any(changes.touch(texts(part["uid"])) for part in known)
        rows = changes.apply_to(self.rows()) if renewed else changes.tables()
        mode: Any = "overwrite" if renewed else "append"
        # A stream, because a list would hold both the old and the new table in memory.
        batches = chain.from_iterable(part.to_batches() for part in _elsewhere(rows))
        stream = pyarrow.RecordBatchReader.from_batches(ROW, batches)
        sizes: dict[str, Any] = {"writer_properties": _properties(), "target_file_size": FILE_BYTES}
        write_deltalake(table, stream, mode=mode, schema_mode="merge", commit_properties=said, **sizes)

    def _stands(self, token: str) -> bool:
        """True if the newest commit has this token: it was made, and only the answer was lost."""
        table = self._table(OBJECTS)
        return table is not None and table.history(1)[0].get(TOKEN_KEY) == token

    def restore(self, number: int) -> Version:
        """Make the rows of version `number` today's, and publish the new version."""
        from deltalake import CommitProperties

        with self._reporting(OBJECTS):
            # Without the facts in its own commit the new version could not be derived.
            known = self._commit_of(number)[METADATA_KEY]
            # A commit of its own, with the old rows: numbers only grow, and pinned readers keep their version.
            self._table(OBJECTS).restore(
                number, commit_properties=CommitProperties(custom_metadata={METADATA_KEY: known})
            )
        return self.newest()

    def former_versions(self) -> list[int]:
        """Return the numbers of kept versions before today's, newest first."""
        table = self._table(OBJECTS)
        known = version_numbers(self.storage) if table is not None else []
        return [number for number in known[::-1] if number < table.version()]

    def committed_at(self) -> dict[int, float]:
        """Return when each version was committed, in Unix seconds."""
        with self._reporting(OBJECTS):
            table = self._table(OBJECTS)
            history = table.history() if table is not None else []
            return {entry["version"]: entry["timestamp"] / 1000 for entry in history}

    def unneeded_files(self, kept: Sequence[int], older_than_s: float) -> list[str]:
        """Return catalogue files, relative to the root, beyond the `kept` versions of `objects`, and old files of
        `attempts`.

        (The engine also names files removed long ago.)
        """
        found = list[str]()
        for name, rest in ((OBJECTS, {"keep_versions": list(kept)}), (ATTEMPTS, {})):
            if (table := self._table(name)) is not None:
                # The engine counts whole hours. Rounded down, it would remove younger files than asked.
                hours = 0 if rest else math.ceil(older_than_s / 3600.0)
                with self._reporting(name):
                    stale = table.vacuum(hours, dry_run=True, enforce_retention_duration=False, full=True, **rest)
                found += sorted({f"{name}/{file}" for file in stale} & self.storage.sizes(name).keys())
        return found

    def compact(self) -> None:
        """Merge the many small files of `record`; for a builder alone."""
        table = self._table(ATTEMPTS)
        if table is not None:
            with self._reporting(ATTEMPTS):
                table.optimize.compact()

    def _commit_of(self, number: int) -> dict[str, Any]:
        """Return the commit of a version. Reading an older commit reads all later commits too."""
        table = self._table(OBJECTS)
        for entry in table.history(table.version() - number + 1) if table is not None else []:
            if entry["version"] == number:
                return dict(entry)
        # Turned into a Failure by the caller's `_reporting`.
        raise KeyError(f"no commit of version {number}")

    def publish(self) -> Version | None:
        """Return the newest version, and write its file if it is missing or damaged; None before the first commit."""
        table = self._table(OBJECTS)
        # Version 0 is the table's creation, before any row.
        if table is None or table.version() == 0:
            return None
        version = self.version(table.version())
        self._write_version(version)
        release_memory()
        return version

    def _write_version(self, version: Version) -> None:
        """Write the file of a version unless it is there and correct."""
        name, data = version_name(version.number), version.to_json()
        # A conditional put first: two commands that find no file then write it once. A file that differs was cut off.
        if not self.storage.exists(name):
            self.storage.create(name, data)
        elif self.storage.read(name) != data:
            self.storage.write(name, data)

    def newest(self) -> Version:
        """Return the last committed version, with its file written. Raises Failure without a version."""
        version = self.publish()
        if version is None:
            raise Failure(f"{self.storage.root}/{OBJECTS}: expected the version just committed, got nothing")
        return version

    def version(self, number: int) -> Version:
        """Derive version `number` from its rows."""
        facts = self.facts(number)
        standing = f"from rows where outcome = {sql_list([Outcome.OK])}"
        shards = self.parts(OBJECTS, f"select distinct {', '.join(SHARD_COLUMNS)} {standing}", number)
        placed = self.parts(OBJECTS, f"select {', '.join(SAMPLE_COLUMNS)} {standing}", number)
        version = derive_version([row for part in shards for row in part.to_pylist()], placed, number, facts)
        # Tables of earlier releases lack the column, and the query would fail.
        if "mesh" not in self.columns(OBJECTS, number):
            return version
        meshes = self.parts(OBJECTS, f"select distinct mesh {standing} and coalesce(mesh, '') <> ''", number)
        return replace(version, meshes=tuple(sorted(mesh for part in meshes for mesh in part["mesh"].to_pylist())))

    def facts(self, number: int) -> VersionFacts:
        """Return the facts stored with the commit of version `number`."""
        with self._reporting(OBJECTS):
            known = json.loads(self._commit_of(number)[METADATA_KEY])
            return VersionFacts(**{**known, "hw": (known["hw"][0], known["hw"][1])})

    def _attempts(self, columns: str, where: str) -> list[Attempt]:
        rows = self.select(ATTEMPTS, f"select {columns} from rows where {where}")  # noqa: S608
        return sorted(map(_attempt, rows), key=lambda attempt: (attempt.at, attempt.attempt))

    def _table(self, name: str, version: int | None = None) -> Any:
        from deltalake import DeltaTable

        with self._reporting(name):
            uri = table_address(self.storage, name)
            return DeltaTable(uri, version=version) if DeltaTable.is_deltatable(uri) else None

    @contextmanager
    def _reporting(self, name: str) -> Iterator[None]:
        from deltalake.exceptions import DeltaError

        try:
            yield
        except Exception as error:
            # The engine's own, for a file that is not there, have no other name than Exception.
            if type(error) is not Exception and not isinstance(error, (DeltaError, *KNOWN)):
                raise
            sentence = " ".join(COLOURS.sub("", str(error)).split())[:300]
            # The engine's errors have colours and run over several lines.
            raise Failure(f"{self.storage.root}/{name}: the catalogue could not be used: {sentence}") from error


def _attempt(row: Mapping[str, Any]) -> Attempt:
    """Return the attempt of a row, without columns unknown to its release."""
    noted = {name: value for name, value in row.items() if value is not None}
    return Attempt(**{**noted, "seconds": dict(noted.get("seconds", ()))})


def derive_version(
    shards: Iterable[Mapping[str, Any]], placed: Iterable[pyarrow.Table], number: int, facts: VersionFacts
) -> Version:
    """Derive version `number` from its shards and the locations of its samples, both in any order."""
    named = sorted(shards, key=lambda shard: str(shard["shard_name"]))
    names = pyarrow.array([shard["shard_name"] for shard in named], pyarrow.string())
    # So that a version without samples needs no case of its own: concatenation wants at least a part.
    nothing = pyarrow.table({name: pyarrow.array([], ROW.field(name).type) for name in SAMPLE_COLUMNS})
    found = [_locate(part, names) for part in (nothing, *placed)]
    columns = list(zip(*found, strict=True))
    # Else the parts of each column would stay in memory after its concatenation.
    del found
    ranks, lengths, offsets, uids = (np.concatenate(columns.pop()) for _ in range(4))
    # By shard and then by offset: the order in which a reader meets the samples, so that every derivation of a version
    # has the same bytes.
    order = np.lexsort((offsets, ranks))
    uids, offsets, lengths = uids[order], offsets[order], lengths[order]
    release_memory()
    ends = np.cumsum(np.bincount(ranks, minlength=len(named))).tolist()
    entries = []
    for shard, start, end in zip(named, [0, *ends], ends, strict=False):
        samples = Samples(uids[start:end], offsets[start:end], lengths[start:end])
        name, split, shard_number, size, sha256 = (shard[column] for column in SHARD_COLUMNS)
        entries.append(ShardEntry(name, split, shard_number, size, sha256, samples))
    return Version(SCHEMA, number, number - 1, facts.settings_digest, facts.views, facts.hw, tuple(entries))


def _locate(part: pyarrow.Table, names: pyarrow.Array) -> tuple[NDArray[Any], ...]:
    """Return uids, offsets, lengths, and the indices of their shards among `names`, of some samples."""
    rank = compute.index_in(part["shard_name"], value_set=names)
    return texts(part["uid"]), *(column.to_numpy() for column in (part["sample_offset"], part["sample_bytes"], rank))


def _gather(batches: Iterable[pyarrow.Table]) -> Iterator[pyarrow.Table]:
    """Yield the engine's small batches as larger tables. A column of a batch would keep the whole batch in memory."""
    waiting, rows = list[pyarrow.Table](), 0
    for batch in chain(batches, [None]):
        if batch is not None:
            waiting.append(pyarrow.table(list(map(plain, batch.columns)), batch.column_names))
            rows += len(batch)
        if waiting and (batch is None or rows >= ROWS_AT_A_TIME):
            yield pyarrow.concat_tables(waiting).combine_chunks()
            waiting, rows = [], 0


def _elsewhere(parts: Iterable[pyarrow.Table]) -> Iterator[pyarrow.Table]:
    """Yield the parts, each made in another thread: the engine's threads may not call the engine.

    The next part is made while the engine writes the last.
    """
    remaining = iter(parts)
    # A single thread, so the parts keep their order.
    with ThreadPoolExecutor(1, thread_name_prefix="rows") as thread:
        following = thread.submit(next, remaining, None)
        while (part := following.result()) is not None:
            following = thread.submit(next, remaining, None)
            yield part


def _properties() -> Any:
    """Return how the files of `objects` are written: small, with statistics only where they help."""
    from deltalake import ColumnProperties, WriterProperties

    columns = {
        name: ColumnProperties(name in REPEATED, statistics_enabled="CHUNK" if name in STATISTICS_COLUMNS else "NONE")
        for name in ROW.names
    }
    return WriterProperties(max_row_group_size=ROWS_IN_A_GROUP, compression="ZSTD", column_properties=columns)


def sql_list(values: Iterable[str]) -> str:
    """Return texts as a list of SQL literals, never an empty list, which SQL lacks."""
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values) or "''"
