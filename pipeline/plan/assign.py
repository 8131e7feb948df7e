"""Assign each object a shard number before it is rendered, and a split by its bytes."""

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from base.digest import sha256_bytes
from pipeline.catalog.objects import uid_order
from pipeline.catalog.rows import UNASSIGNED

Uids = NDArray[np.bytes_]
Numbers = NDArray[np.int64]


def uid_digests(uids: Uids) -> Uids:
    """Return the sort keys of many uids, as `uid_order` gives them."""
    return np.fromiter((hashlib.sha256(uid).digest() for uid in uids), "S32", len(uids))


def assign(numbers: Numbers, uids: Uids, first: int, objects_per_shard: int) -> Numbers:
    """Return a shard number for each of `uids`: its number in `numbers`, or a new number for an UNASSIGNED object.

    New objects are ordered by uid digest and cut into groups. `first` is above every number ever used, so a number
    always means the same objects.
    """
    new = np.flatnonzero(numbers == UNASSIGNED)
    # By digest, so that neighbours in a source do not share a shard.
    ordered = new[np.argsort(uid_digests(uids[new]))]
    assigned = numbers.copy()
    # Old numbers are never filled up: a shard with new members would be written again.
    assigned[ordered] = first + np.arange(len(ordered)) // objects_per_shard
    return assigned


def split_of(sha256: str, val_fraction: float) -> str:
    """Return `val` for the share `val_fraction` of all source digests, else `train`."""
    # By bytes, not uid: the same model under two names must not be in both splits.
    index = int(sha256_bytes(f"split:{sha256}".encode())[:8], 16) / 2**32
    return "val" if index < val_fraction else "train"


def find_originals(sha256: Mapping[str, str], ranks: Mapping[str, int], numbers: Mapping[str, int]) -> dict[str, str]:
    """Return the original of every object whose bytes an earlier object has.

    Lower ranks are earlier, then lower shard numbers, then lower uid digests. An object of unknown sha256 ("") has no
    original.
    """
    known = [uid for uid in sha256 if sha256[uid]]
    first: dict[str, str] = {}
    # An object with a number comes before new objects, so that a later copy never displaces it.
    for uid in sorted(known, key=lambda uid: (ranks[uid], uid not in numbers, numbers.get(uid, 0), uid_order(uid))):
        first.setdefault(sha256[uid], uid)
    return {uid: first[sha256[uid]] for uid in known if first[sha256[uid]] != uid}
