"""Find objects whose samples differ from what is asked for only by having fewer views."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from base.outcomes import Outcome
from pipeline.catalog.columns import Columns, Places, texts
from pipeline.catalog.rows import Finding, SampleLocation, location_of
from pipeline.plan.plan import Plan
from render.settings import RenderSettings
from shards.version import Version


class _Locations(Mapping[str, SampleLocation]):
    """The locations of samples by uid, read from some rows of the catalogue when asked for."""

    def __init__(self, rows: Columns[Finding], places: Places) -> None:
        self._rows, self._places = rows, np.sort(places)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        return (row.uid for row in self._rows.records(self._places))

    def __getitem__(self, uid: str) -> SampleLocation:
        (place,) = self._rows.places([uid])
        found = np.searchsorted(self._places, place)
        if found == len(self._places) or self._places[found] != place:
            raise KeyError(uid)
        return location_of(self._rows.at([place])[0])


def fewer_views(
    plan: Plan,
    version: Version | None,
    render: RenderSettings,
    fingerprints: Callable[[RenderSettings], Callable[[str], str]],
) -> Mapping[str, SampleLocation]:
    """The samples of objects to be rendered that differ from what is asked for by having fewer views, by uid.

    `fingerprints` gives, for view settings, the fingerprint of an object's sha256.
    """
    if version is None or version.views >= render.views:
        return {}
    before = fingerprints(render.model_copy(update={"views": version.views}))
    places = plan.row[plan.order]
    places = places[places >= 0]
    outcome, sha256, fingerprint = (
        texts(plan.rows.column(name))[places] for name in ("outcome", "sha256", "fingerprint")
    )
    standing = outcome == Outcome.OK.encode()
    standing[standing] = [
        before(digest.decode()).encode() == known
        for digest, known in zip(sha256[standing], fingerprint[standing], strict=True)
    ]
    return _Locations(plan.rows, places[standing])
