"""Join the catalogue's rows to the requested objects: arrays by index in `requested`."""

from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow
from numpy.typing import NDArray
from pyarrow import compute

from base.outcomes import Outcome
from pipeline.catalog.columns import Columns, plain, texts
from pipeline.catalog.locations import without_mirror
from pipeline.catalog.memory import release_memory
from pipeline.catalog.objects import SourceObject
from pipeline.catalog.rows import RESULT_COLUMNS, SOURCE_COLUMNS, UNASSIGNED, Attempt, BuildResult

Texts = NDArray[np.bytes_]
Mask = NDArray[np.bool_]


class CatalogJoin:
    """Hold for each object what its row says. `row` is the index in `rows`, −1 for a new object.

    The other arrays of a new object are empty, false or UNASSIGNED. `restated` is true where the source and the row
    state different facts. Facts of rows are compared in parts and dropped, because `requested` has them too.
    """

    def __init__(self, requested: Columns[SourceObject], catalogue: Iterable[pyarrow.Table]) -> None:
        self.requested = requested
        self.restated, self.same_location = np.ones(len(requested), bool), np.zeros(len(requested), bool)
        # Lazily: each part of the catalogue is compared, cut down to the result's columns, and dropped.
        self.rows = Columns.from_tables(BuildResult, map(self._compare, catalogue))
        # Usually every build asks for the same objects.
        self.rows.share_uids(requested)
        self.row = self.rows.indices(requested.uids)
        self.outcome, self.sha256, self.fingerprint, self.facts_digest, self.split = (
            texts(self.rows.align(name, self.row, ""))
            for name in ("outcome", "sha256", "fingerprint", "facts_digest", "split")
        )
        release_memory()
        self.ok = self.outcome == Outcome.OK.encode()
        self.number: NDArray[np.int64] = self.rows.align("shard", self.row, UNASSIGNED).to_numpy()

    def known_sha256(self, waiting: Mapping[str, Attempt]) -> Texts:
        """Return the known sha256 of each object: from its source, an earlier build of the same location, or its staged
        attempt."""
        # With a fixed width: numpy would cut digests off at the longest text so far, which may be empty.
        known = texts(self.requested.column("sha256")).astype("S64")
        # Only for the same location: a moved object may be another.
        earlier = (known == b"") & self.same_location
        known[earlier] = self.sha256[earlier]
        attempted = np.array([one.sha256 for one in waiting.values()], "S64")
        indices = self.requested.indices(list(waiting))
        known[indices] = np.where(known[indices] == b"", attempted, known[indices])
        return known

    @property
    def unread(self) -> Mask:
        """True for each object whose fetch failed: its bytes are unknown."""
        return np.asarray(texts(self.rows.align("phase", self.row, "")) == b"fetch", bool)

    @property
    def lacks_pictures(self) -> Mask:
        """True for each object rendered without some of its pictures."""
        named = self.rows.align("missing_pictures", self.row, "")
        return np.asarray(compute.greater(compute.binary_length(named), 0), bool)

    def has_recorded(self, attempt: Attempt) -> bool:
        """True if the row of an object already records how this attempt ended."""
        index = self.requested.indices([attempt.uid])[0]
        said = (self.outcome[index].decode(), self.fingerprint[index].decode())
        return bool(said == (attempt.outcome, attempt.fingerprint))

    def is_in_shards(self, shards: frozenset[str]) -> Mask:
        """True for each object with a sample in a shard of `shards`, by name."""
        if not shards:
            return np.zeros(len(self.requested), bool)
        names = texts(self.rows.align("shard_name", self.row, ""))
        return np.isin(names, [name.encode() for name in shards])

    def _compare(self, part: pyarrow.Table) -> pyarrow.Table:
        """Return the build results of some rows, after comparing the facts in them."""
        indices = self.requested.indices(texts(part["uid"]))
        here = indices >= 0
        known, stated = part.filter(pyarrow.array(here)), self.requested.rows(indices[here])
        said = {name: plain(known[name]) for name in SOURCE_COLUMNS}
        # Else every object would count as changed after a build with another mirror.
        said["location"] = without_mirror(said["location"], said["source"])
        same = {name: _equal(said[name], stated[name]) for name in SOURCE_COLUMNS}
        self.same_location[indices[here]] = same["location"]
        self.restated[indices[here]] = ~np.logical_and.reduce(list(same.values()))
        return part.select([name for name in RESULT_COLUMNS if name in part.column_names])


def _equal(known: pyarrow.ChunkedArray, stated: pyarrow.ChunkedArray) -> Mask:
    return np.asarray(compute.equal(plain(known), plain(stated)), bool)
