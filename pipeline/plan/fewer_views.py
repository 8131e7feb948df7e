"""Find samples that lack only some of the wanted views."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from base.outcomes import Outcome
from pipeline.catalog.columns import Columns, Indices, texts
from pipeline.catalog.rows import BuildResult, SampleLocation, location_of
from pipeline.plan.plan import Plan
from render.settings import RenderSettings
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


def find_fewer_views(
    plan: Plan,
    version: Version | None,
    render: RenderSettings,
    fingerprints: Callable[[RenderSettings], Callable[[str], str]],
) -> Mapping[str, SampleLocation]:
    """Return, by uid, the samples of objects to render that only have too few views.

    `fingerprints` gives, for view settings, the function from sha256 to fingerprint.
    """
    # Only more views are a shortcut: with fewer, every object is rendered anew.
    if version is None or version.views >= render.views:
        return {}
    # The fingerprint under today's settings but the earlier number: any other change makes it differ.
    before = fingerprints(render.model_copy(update={"views": version.views}))
    indices = plan.row[plan.order]
    indices = indices[indices >= 0]
    # As arrays: records of a million objects would be slow and large.
    outcome, sha256, fingerprint = (
        texts(plan.rows.column(name))[indices] for name in ("outcome", "sha256", "fingerprint")
    )
    is_ok = outcome == Outcome.OK.encode()
    is_ok[is_ok] = [
        before(digest.decode()).encode() == known
        for digest, known in zip(sha256[is_ok], fingerprint[is_ok], strict=True)
    ]
    return _Locations(plan.rows, indices[is_ok])
