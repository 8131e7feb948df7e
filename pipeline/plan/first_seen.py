"""Which object was the first with some bytes, whatever the number of objects: the others are its copies."""

import hashlib

import numpy as np

from pipeline.catalog.columns import CHUNK, indices_in
from pipeline.plan.plan import IN_SHARDS, Plan


class FirstSeen:
    """Which object was the first with some bytes: one that stands in a shard, or the first one asked for."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._order = plan, np.argsort(plan.sha256, kind="stable")
        self._met = FirstIndices()

    def of(self, sha256: str, index: int) -> int:
        """The index of the first of these bytes, which is `index` when there was none."""
        sought, known = sha256.encode(), self._plan.sha256
        for other in self._order[np.searchsorted(known, sought, sorter=self._order) :]:
            if known[other] != sought:
                break
            if self._plan.state[other] in IN_SHARDS:
                return int(other)
        return self._met.of(hashlib.sha256(sought).digest()[:16], index)


class FirstIndices:
    """The index at which each digest of 16 bytes was met first, in 24 bytes a digest: a dict takes five times as many.

    Digests wait in a small dict until there are enough to be sorted in.
    """

    def __init__(self) -> None:
        self._recent = dict[bytes, int]()
        self._digests, self._places = np.zeros(0, "S16"), np.zeros(0, np.int64)

    def of(self, digest: bytes, index: int) -> int:
        """The index at which `digest` was met first: `index`, if that is now."""
        found = int(indices_in(self._digests, np.array([digest]))[0])
        if found >= 0:
            return int(self._places[found])
        first = self._recent.setdefault(digest, index)
        if len(self._recent) >= CHUNK:
            self._sort_in()
        return first

    def _sort_in(self) -> None:
        digests = np.fromiter(self._recent, "S16", len(self._recent))
        indices = np.fromiter(self._recent.values(), np.int64, len(self._recent))
        order = np.argsort(digests)
        where = np.searchsorted(self._digests, digests[order])
        self._digests = np.insert(self._digests, where, digests[order])
        self._places = np.insert(self._places, where, indices[order])
        self._recent.clear()
