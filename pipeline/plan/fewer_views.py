"""Find samples that lack only some of the wanted views."""

from collections.abc import Iterator, Mapping

import numpy as np

from base.outcomes import Outcome
from pipeline.catalog.columns import Columns, Indices, texts
from pipeline.catalog.rows import BuildResult, SampleLocation, location_of
from pipeline.plan.plan import Plan
from pipeline.work.stage import Stage
from shards.version import Version


class _Locations(Mapping[str, SampleLocation]):
    """The locations of samples by uid, read from the rows on access."""

    def __init__(self, rows: Columns[BuildResult], indices: Indices) -> None:
        # Sorted, to be searched: a dict of a million locations would fill memory.
        self._rows, self._indices = rows, np.sort(indices)

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[str]:
        return (row.uid for row in self._rows.records(self._indices))

    def __getitem__(self, uid: str) -> SampleLocation:
        (index,) = self._rows.indices([uid])
        found = np.searchsorted(self._indices, index)
        if found == len(self._indices) or self._indices[found] != index:
            raise KeyError(uid)
        return location_of(self._rows.at([index])[0])


def find_fewer_views(plan: Plan, version: Version | None, views: int, stage: Stage) -> Mapping[str, SampleLocation]:
    """Return, by uid, the samples of objects to be done that only have too few of the wanted `views`."""
    # Only more views are a shortcut: with fewer, every object is done anew.
    if version is None or version.views >= views:
        return {}
    # The fingerprint under today's settings but the earlier number: any other change makes it differ.
    before = stage.with_views(version.views)
    if before is None:
        return {}
    indices = plan.row[plan.order]
    indices = indices[indices >= 0]
    # As arrays: records of a million objects would be slow and large.
    outcome, sha256, fingerprint = (
        texts(plan.rows.column(name))[indices] for name in ("outcome", "sha256", "fingerprint")
    )
    is_ok = outcome == Outcome.OK.encode()
    is_ok[is_ok] = [
        before.fingerprint(digest.decode()).encode() == known
        for digest, known in zip(sha256[is_ok], fingerprint[is_ok], strict=True)
    ]
    return _Locations(plan.rows, indices[is_ok])
