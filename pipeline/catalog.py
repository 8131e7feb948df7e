"""The catalogue: two Delta Lake tables that any engine reads, and the version files derived from them.

A version of the dataset is a version of the table `objects`; `versions/<n>.json` follows from version n of the table
alone, and is derived again when a crash came between the two.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

import numpy as np
import pyarrow

from base.errors import Failure
from base.outcomes import Outcome
from base.storage import Storage
from pipeline.columns import Columns, plain, schema, table_of, texts
from pipeline.rows import Attempt, ObjectRow
from shards.version import SCHEMA, Samples, ShardEntry, Version, version_name

OBJECTS, ATTEMPTS = "catalog/objects", "catalog/attempts"
METADATA_KEY = "zero123"
SHARD = ("shard_name", "split", "shard", "shard_bytes", "shard_sha256")
PLACED = pyarrow.schema(
    [schema(ObjectRow).field(name) for name in ("uid", "split", "shard", "sample_offset", "sample_bytes")]
)
ROWS_AT_A_TIME, ROWS_IN_A_GROUP = 1 << 16, 1 << 13


@dataclass(frozen=True)
class VersionFacts:
    """What a version says beside its shards; stored with the table's commit."""

    settings_digest: str
    views: int
    hw: tuple[int, int]


class Catalog:
    """The catalogue of one dataset. Every method raises Failure when a table cannot be read or written."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    def objects(self, version: int | None = None) -> Columns[ObjectRow]:
        """The row of every object ever asked for, by uid, as of a version; today's when None."""
        with self._reported(OBJECTS):
            return Columns.joined(ObjectRow, self.rows(version))

    def rows(self, version: int | None = None) -> Iterator[pyarrow.Table]:
        """The same, part by part, in no order."""
        return self.parts(OBJECTS, "select * from rows", version)

    def counts(self, column: str, where: str = "true") -> dict[str, int]:
        """How many rows of `objects` say what in a column, the most frequent first."""
        query = f"select {column} as said, count(*) as n from rows where {where} group by said order by n desc, said"  # noqa: S608
        return {row["said"]: row["n"] for row in self.select(OBJECTS, query)}

    def select(self, name: str, query: str) -> list[dict[str, Any]]:
        """What a query finds in table `name`, which it calls `rows`; none of the table need fit into memory."""
        return [row for part in self.parts(name, query) for row in part.to_pylist()]

    def parts(self, name: str, query: str, version: int | None = None) -> Iterator[pyarrow.Table]:
        """The same, part by part; nothing when there is no such table.

        Through the table's own engine: pyarrow's readers leave threads that now and then abort the exit.
        """
        from deltalake import QueryBuilder

        table = self._table(name, version)
        if table is not None:
            with self._reported(name):
                yield from _copied(map(pyarrow.table, QueryBuilder().register("rows", table).execute(query)))

    def attempts(self, uids: Collection[str] | None = None) -> list[Attempt]:
        """Every attempt recorded, or those at some objects, oldest first."""
        return self._attempts("true" if uids is None else f"uid in ({quoted(uids)})")

    def troubled(self) -> list[Attempt]:
        """Every attempt at an object of which one did not end well, oldest first: what the next plan must know."""
        return self._attempts(f"uid in (select uid from rows where outcome <> {quoted([Outcome.OK])})")  # noqa: S608

    def recorded(self, attempts: Collection[str]) -> set[str]:
        """Which of these attempts, by their names, are recorded."""
        query = f"select attempt from rows where attempt in ({quoted(attempts)})"  # noqa: S608
        return {row["attempt"] for row in self.select(ATTEMPTS, query)}

    def record(self, attempts: Sequence[Attempt]) -> None:
        """Append attempts; milliseconds, while a run goes on."""
        if not attempts:
            return
        from deltalake import write_deltalake

        with self._reported(ATTEMPTS):
            write_deltalake(self._uri(ATTEMPTS), table_of(Attempt, attempts), mode="append")

    def commit(self, changes: Iterable[pyarrow.Table], facts: VersionFacts) -> Version:
        """Merge changed rows, in tables, into `objects` and publish the version that this makes.

        A null leaves what a row says.
        """
        from deltalake import CommitProperties, DeltaTable

        said = CommitProperties(custom_metadata={METADATA_KEY: json.dumps(asdict(facts))})
        with self._reported(OBJECTS):
            table = self._table(OBJECTS) or DeltaTable.create(self._uri(OBJECTS), schema(ObjectRow))
            if table.version() == 0:
                _append(table, changes, said)
            else:
                self._merge(table, list(changes), said)
        return self._published()

    def _merge(self, table: Any, changes: list[pyarrow.Table], said: Any) -> None:
        """Append rows when all are new, which writes them alone; else let the engine merge them in."""
        known = np.sort(np.concatenate([texts(part["uid"]) for part in self.parts(OBJECTS, "select uid from rows")]))
        if not any(np.isin(texts(part["uid"]), known).any() for part in changes):
            _append(table, changes, said)
            return
        merge = table.merge(
            pyarrow.concat_tables(changes),
            predicate="target.uid = source.uid",
            source_alias="source",
            target_alias="target",
            writer_properties=_properties(),
            commit_properties=said,
        )
        new = {name: f"coalesce(source.{name}, target.{name})" for name in schema(ObjectRow).names}
        merge.when_matched_update(new).when_not_matched_insert_all().execute()

    def restore(self, number: int) -> Version:
        """Make the rows of version `number` today's, and publish the version that this makes."""
        from deltalake import CommitProperties

        with self._reported(OBJECTS):
            known = self._commit_of(number)[METADATA_KEY]
            self._table(OBJECTS).restore(
                number, commit_properties=CommitProperties(custom_metadata={METADATA_KEY: known})
            )
        return self._published()

    def committed_at(self) -> dict[int, float]:
        """When each version was committed, in Unix seconds."""
        with self._reported(OBJECTS):
            table = self._table(OBJECTS)
            history = table.history() if table is not None else []
            return {entry["version"]: entry["timestamp"] / 1000 for entry in history}

    def unneeded_files(self, kept: Sequence[int]) -> list[str]:
        """The files of `objects`, relative to the dataset's root, that none of the `kept` versions reads."""
        table = self._table(OBJECTS)
        if table is None:
            return []
        with self._reported(OBJECTS):
            stale = table.vacuum(0, dry_run=True, enforce_retention_duration=False, full=True, keep_versions=list(kept))
        return sorted(f"{OBJECTS}/{name}" for name in stale)

    def _commit_of(self, number: int) -> dict[str, Any]:
        """What the commit of a version says; the newest is read at once, an older one with all since."""
        table = self._table(OBJECTS)
        for entry in table.history(table.version() - number + 1) if table is not None else []:
            if entry["version"] == number:
                return dict(entry)
        raise KeyError(f"no commit of version {number}")

    def _published(self) -> Version:
        version = self.publish()
        if version is None:
            raise Failure(f"{self.storage.root}/{OBJECTS}: expected the version just committed, got none")
        return version

    def publish(self) -> Version | None:
        """The newest version, its file written if a crash kept it from being; None before the first commit."""
        table = self._table(OBJECTS)
        if table is None or table.version() == 0:
            return None
        version = self.version(table.version())
        name = version_name(version.number)
        if not self.storage.exists(name):
            self.storage.create(name, version.to_json().encode())
        return version

    def version(self, number: int) -> Version:
        """Version `number` as the rows of that version make it."""
        with self._reported(OBJECTS):
            known = json.loads(self._commit_of(number)[METADATA_KEY])
            facts = VersionFacts(known["settings_digest"], known["views"], (known["hw"][0], known["hw"][1]))
        standing = f"from rows where outcome = {quoted([Outcome.OK])}"
        shards = self.parts(OBJECTS, f"select distinct {', '.join(SHARD)} {standing}", number)
        placed = self.parts(OBJECTS, f"select {', '.join(PLACED.names)} {standing}", number)
        return derived([row for part in shards for row in part.to_pylist()], placed, number, facts)

    def _attempts(self, where: str) -> list[Attempt]:
        rows = self.select(ATTEMPTS, f"select * from rows where {where}")  # noqa: S608
        found = [Attempt(**{**row, "seconds": dict(row["seconds"])}) for row in rows]
        return sorted(found, key=lambda attempt: (attempt.at, attempt.attempt))

    def _table(self, name: str, version: int | None = None) -> Any:
        from deltalake import DeltaTable

        with self._reported(name):
            uri = self._uri(name)
            return DeltaTable(uri, version=version) if DeltaTable.is_deltatable(uri) else None

    def _uri(self, name: str) -> str:
        return str(self.storage.local_path(name)) if self.storage.is_local else f"{self.storage.root}/{name}"

    @contextmanager
    def _reported(self, name: str) -> Iterator[None]:
        from deltalake.exceptions import DeltaError

        try:
            yield
        except (DeltaError, OSError, KeyError, TypeError, ValueError) as error:
            sentence = " ".join(str(error).split())[:300]
            raise Failure(f"{self.storage.root}/{name}: the catalogue could not be used: {sentence}") from error


def derived(
    shards: Iterable[Mapping[str, Any]], placed: Iterable[pyarrow.Table], number: int, facts: VersionFacts
) -> Version:
    """Version `number` of the dataset from its shards and from where each sample stands, both in any order."""
    named = sorted(shards, key=lambda shard: str(shard["shard_name"]))
    rank = {(shard["split"], shard["shard"]): index for index, shard in enumerate(named)}
    parts = [PLACED.empty_table(), *(part.cast(PLACED) for part in placed)]
    table = pyarrow.concat_tables(parts).combine_chunks()
    del parts
    keys = zip(table["split"].to_pylist(), table["shard"].to_pylist(), strict=True)
    ranks = np.fromiter((rank[key] for key in keys), np.int64, len(table))
    offsets = table["sample_offset"].to_numpy()
    order = np.lexsort((offsets, ranks))
    uids, offsets, lengths = texts(table["uid"])[order], offsets[order], table["sample_bytes"].to_numpy()[order]
    ends = np.cumsum(np.bincount(ranks, minlength=len(named))).tolist()
    entries = []
    for shard, start, end in zip(named, [0, *ends], ends, strict=False):
        samples = Samples(uids[start:end], offsets[start:end], lengths[start:end])
        name, split, shard_number, size, sha256 = (shard[column] for column in SHARD)
        entries.append(ShardEntry(name, split, shard_number, size, sha256, samples))
    return Version(SCHEMA, number, number - 1, facts.settings_digest, facts.views, facts.hw, tuple(entries))


def _copied(batches: Iterable[pyarrow.Table]) -> Iterator[pyarrow.Table]:
    """The engine's small batches as larger tables of our own: a column of its would keep all of its batch in memory."""
    waiting, rows = list[pyarrow.Table](), 0
    for batch in chain(batches, [None]):
        if batch is not None:
            waiting.append(pyarrow.table(list(map(plain, batch.columns)), batch.column_names))
            rows += len(batch)
        if waiting and (batch is None or rows >= ROWS_AT_A_TIME):
            yield pyarrow.concat_tables(waiting).combine_chunks()
            waiting, rows = [], 0


def _append(table: Any, changes: Iterable[pyarrow.Table], said: Any) -> None:
    from deltalake import write_deltalake

    batches = chain.from_iterable(part.to_batches() for part in changes)
    stream = pyarrow.RecordBatchReader.from_batches(schema(ObjectRow), batches)
    write_deltalake(table, stream, mode="append", writer_properties=_properties(), commit_properties=said)


def _properties() -> Any:
    """Small row groups: what is not written yet is held in memory."""
    from deltalake import WriterProperties

    return WriterProperties(max_row_group_size=ROWS_IN_A_GROUP)


def quoted(values: Iterable[str]) -> str:
    """Texts as a list of SQL literals; never an empty one, which SQL does not have."""
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values) or "''"
