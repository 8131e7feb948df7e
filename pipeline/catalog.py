"""The catalogue: two Delta Lake tables that any engine reads, and the version files derived from them.

A version of the dataset is a version of the table `objects`; `versions/<n>.json` follows from version n of the table
alone, and is derived again when a crash came between the two.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from itertools import groupby
from typing import Any

from base.errors import Failure
from base.outcomes import CHILD_DEATHS
from base.storage import Storage
from pipeline.rows import Attempt, ObjectRow
from shards.version import SCHEMA, SampleEntry, ShardEntry, Version, version_name

OBJECTS, ATTEMPTS = "catalog/objects", "catalog/attempts"
METADATA_KEY = "zero123"


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

    def objects(self, version: int | None = None) -> dict[str, ObjectRow]:
        """The row of every object ever asked for, by uid, as of a version; today's when None."""
        table = self._table(OBJECTS, version)
        if table is None:
            return {}
        with self._reported(OBJECTS):
            return {row["uid"]: ObjectRow(**row) for row in _rows(table)}

    def attempts(self, uids: Collection[str] | None = None) -> list[Attempt]:
        """Every attempt recorded, or those at some objects, oldest first."""
        table = self._table(ATTEMPTS)
        if table is None:
            return []
        with self._reported(ATTEMPTS):
            rows = _rows(table, uids)
        found = [Attempt(**{**row, "seconds": dict(row["seconds"])}) for row in rows]
        return sorted(found, key=lambda attempt: (attempt.at, attempt.attempt))

    def select(self, name: str, query: str) -> list[dict[str, Any]]:
        """What a query says of table `name`, which it calls `rows`; none of the table need fit into memory."""
        table = self._table(name)
        if table is None:
            return []
        with self._reported(name):
            return _answer(table, query)

    def child_deaths(self) -> Counter[tuple[str, str]]:
        """How often the Blender child of (uid, fingerprint) died."""
        return Counter((row.uid, row.fingerprint) for row in self.attempts() if row.outcome in CHILD_DEATHS)

    def record(self, attempts: Sequence[Attempt]) -> None:
        """Append attempts; milliseconds, while a run goes on."""
        if not attempts:
            return
        from deltalake import write_deltalake

        with self._reported(ATTEMPTS):
            write_deltalake(self._uri(ATTEMPTS), _table_of(Attempt, attempts), mode="append")

    def commit(self, rows: Sequence[ObjectRow], facts: VersionFacts) -> Version:
        """Merge changed rows into `objects` and publish the version that this makes."""
        from deltalake import CommitProperties, DeltaTable

        with self._reported(OBJECTS):
            table = self._table(OBJECTS) or DeltaTable.create(self._uri(OBJECTS), _schema(ObjectRow))
            merge = table.merge(
                _table_of(ObjectRow, rows),
                predicate="target.uid = source.uid",
                source_alias="source",
                target_alias="target",
                commit_properties=CommitProperties(custom_metadata={METADATA_KEY: json.dumps(asdict(facts))}),
            )
            merge.when_matched_update_all().when_not_matched_insert_all().execute()
        return self._published()

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
        return derived(self.objects(number).values(), number, facts)

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


def _rows(table: Any, uids: Collection[str] | None = None) -> list[dict[str, Any]]:
    """Rows of a table, through its own engine: pyarrow's readers leave threads that now and then abort the exit."""
    where = "" if uids is None else f" where uid in ({quoted(uids)})"
    return _answer(table, f"select * from rows{where}")  # noqa: S608 - quoted


def _answer(table: Any, query: str) -> list[dict[str, Any]]:
    import pyarrow
    from deltalake import QueryBuilder

    found = QueryBuilder().register("rows", table).execute(query).read_all()
    rows: list[dict[str, Any]] = pyarrow.table(found).to_pylist()
    return rows


def quoted(values: Iterable[str]) -> str:
    """Texts as a list of SQL literals; never an empty one, which SQL does not have."""
    return ", ".join("'" + value.replace("'", "''") + "'" for value in list(values) or [""])


def derived(rows: Iterable[ObjectRow], number: int, facts: VersionFacts) -> Version:
    """Version `number` of the dataset as the catalogue's rows describe it: a pure function of its arguments."""
    placed = sorted((row for row in rows if row.ok), key=lambda row: (row.shard_name, row.sample_offset))
    shards = []
    for name, group in groupby(placed, key=lambda row: row.shard_name):
        members = list(group)
        samples = tuple(SampleEntry(row.uid, row.sample_offset, row.sample_bytes) for row in members)
        first = members[0]
        shards.append(ShardEntry(name, first.split, first.shard, first.shard_bytes, first.shard_sha256, samples))
    return Version(SCHEMA, number, number - 1, facts.settings_digest, facts.views, facts.hw, tuple(shards))


def _schema(kind: type) -> Any:
    import pyarrow

    types = {
        str: pyarrow.string(),
        int: pyarrow.int64(),
        float: pyarrow.float64(),
        "seconds": pyarrow.map_(pyarrow.string(), pyarrow.float64()),
    }
    return pyarrow.schema(
        [(item.name, types[item.name if item.name == "seconds" else item.type]) for item in fields(kind)]
    )


def _table_of(kind: type, rows: Sequence[Any]) -> Any:
    import pyarrow

    values = [asdict(row) for row in rows]
    for value in values:
        if "seconds" in value:
            value["seconds"] = sorted(value["seconds"].items())
    return pyarrow.Table.from_pylist(values, schema=_schema(kind))
