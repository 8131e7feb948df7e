"""Find samples in former versions, to be reused instead of rendered."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow

from base.errors import Failure
from base.outcomes import Outcome
from base.progress import Progress
from pipeline.catalog.columns import Columns, Indices, compact, complete_columns, indices_in, schema, texts
from pipeline.catalog.faults import has_fault
from pipeline.catalog.memory import release_memory
from pipeline.catalog.rows import FOUND, NO_LOCATION, BuildResult
from pipeline.catalog.tables import ATTEMPTS, OBJECTS, Catalog, sql_list
from pipeline.plan.catalog_join import Texts
from shards.verify import FOLDER

COPIED_COLUMNS = ("uid", "outcome", "fingerprint", "checks", "attempts", *NO_LOCATION)
"""The columns taken from a row of a former version; the others are today's."""
FEW = 1000
"""Up to this many uids go into the query, which lets the engine skip files."""


def find_former_samples(
    catalog: Catalog,
    numbers: Sequence[int],
    lost: frozenset[str],
    progress: Progress,
    uids: Texts,
    fingerprints: Texts,
    *,
    with_all_pictures: bool = False,
) -> Columns[BuildResult]:
    """Return where the versions `numbers`, searched in order, have samples of `uids` with these fingerprints.

    Only whole shards that are not `lost` count. A fingerprint includes the object's bytes. The search starts only if
    some attempt at these objects ended well with its fingerprint. An unreadable version is reported and skipped. With
    `with_all_pictures`, samples of objects with missing pictures are left out.
    """
    sought = _Sought(uids, fingerprints)
    names = (*COPIED_COLUMNS, *FOUND)
    # An empty part, so that nothing found needs no case of its own.
    found = [complete_columns(schema(BuildResult).empty_table(), BuildResult, names)]
    if _was_rendered(catalog, sought):
        # A single listing: a question per shard would be slow on a remote store.
        there = {name: size for name, size in catalog.storage.sizes(FOLDER).items() if name not in lost}
        for number in numbers:
            try:
                # Versions of earlier releases lack columns.
                present = catalog.columns(OBJECTS, number)
                wanted = [name for name in names if name in present]
                whole_ones = f" and not {has_fault('missing_pictures')}" if "missing_pictures" in present else ""
                query = f"select {', '.join(wanted)} {sought.ok_rows}{whole_ones if with_all_pictures else ''}"
                rows = catalog.parts(OBJECTS, query, number)
                found += (sought.take(complete_columns(part, BuildResult, names), there) for part in rows)
            except Failure as failure:
                progress.say(f"version {number} is not looked through for what was rendered: {failure}")
            # Newest first, so usually the first version has all.
            if not sought.missing.any():
                break
    whole = pyarrow.concat_tables(map(compact, found)).unify_dictionaries()
    columns = dict(zip(whole.column_names, whole.columns, strict=True))
    del found, whole
    release_memory()
    return Columns(BuildResult, columns)


def _was_rendered(catalog: Catalog, sought: "_Sought") -> bool:
    rows = catalog.parts(ATTEMPTS, f"select uid, fingerprint {sought.ok_rows}")
    return any((sought.indices(part) >= 0).any() for part in rows)


class _Sought:
    """The objects to find, by uid and fingerprint. `missing` marks those not found yet."""

    def __init__(self, uids: Texts, fingerprints: Texts) -> None:
        self._uids, self._fingerprints = uids, fingerprints
        self.missing = np.ones(len(uids), bool)

    @property
    def ok_rows(self) -> str:
        """The end of a query for successful rows, of these objects alone if they are few."""
        these = f" and uid in ({sql_list(uid.decode() for uid in self._uids)})" if len(self._uids) <= FEW else ""
        return f"from rows where outcome = {sql_list([Outcome.OK])}{these}"

    def indices(self, part: pyarrow.Table) -> Indices:
        """Return the index of the object of each row, −1 for a row of another object or fingerprint."""
        indices = indices_in(self._uids, texts(part["uid"]))
        # An index of −1 picks the last fingerprint, but gives −1 in either case.
        return np.where(self._fingerprints[indices] == texts(part["fingerprint"]), indices, -1)

    def take(self, part: pyarrow.Table, there: Mapping[str, int]) -> pyarrow.Table:
        """Return the rows of missing objects with whole shards among `there`, and mark these objects as found."""
        indices = self.indices(part)
        wanted = (indices >= 0) & self.missing[indices]
        part, indices = part.filter(pyarrow.array(wanted)), indices[wanted]
        shards = zip(part["shard_name"].to_pylist(), part["shard_bytes"].to_pylist(), strict=True)
        # A size tells a cut shard. Changed bytes show only when the shard is packed, and then raise DamagedShard.
        whole = np.array([there.get(name) == size for name, size in shards], bool)
        self.missing[indices[whole]] = False
        return compact(part.filter(pyarrow.array(whole)))
