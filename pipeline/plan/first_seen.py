"""Find the first object with given bytes among millions. The others are its copies."""

import hashlib

import numpy as np

from pipeline.catalog.columns import CHUNK, indices_in
from pipeline.plan.plan import IN_SHARDS, Plan


class FirstSeen:
    """Find the first object with given bytes: an object in a shard, or the first in the order of requests."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._order = plan, np.argsort(plan.sha256, kind="stable")
        self._met = FirstIndices()

    def of(self, sha256: str, index: int) -> int:
        """Return the index of the first object with these bytes: `index` itself if there was no other."""
        sought, known = sha256.encode(), self._plan.sha256
        for other in self._order[np.searchsorted(known, sought, sorter=self._order) :]:
            if known[other] != sought:
                break
            # It has its sample already; anything else would have two samples of the same bytes.
            if self._plan.state[other] in IN_SHARDS:
                return int(other)
        # 16 bytes tell millions apart, in a quarter of the memory of the 64 digits.
        return self._met.of(hashlib.sha256(sought).digest()[:16], index)


class FirstIndices:
    """Map 16-byte digests to the index of their first occurrence, at 24 bytes a digest, a fifth of a dict.

    New digests collect in a small dict and are sorted in together.
    """

    def __init__(self) -> None:
        self._recent = dict[bytes, int]()
        self._digests, self._indices = np.zeros(0, "S16"), np.zeros(0, np.int64)

    def of(self, digest: bytes, index: int) -> int:
        """Return the index of the first occurrence of `digest`: `index` if this is the first."""
        found = int(indices_in(self._digests, np.array([digest]))[0])
        if found >= 0:
            return int(self._indices[found])
        first = self._recent.setdefault(digest, index)
        if len(self._recent) >= CHUNK:
            self._sort_in()
        return first

    def _sort_in(self) -> None:
        digests = np.fromiter(self._recent, "S16", len(self._recent))
        indices = np.fromiter(self._recent.values(), np.int64, len(self._recent))
        order = np.argsort(digests)
        where = np.searchsorted(self._digests, digests[order])
        # An insertion copies the whole array, hence only once per CHUNK.
        self._digests = np.insert(self._digests, where, digests[order])
        self._indices = np.insert(self._indices, where, indices[order])
        self._recent.clear()
