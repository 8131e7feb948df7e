"""Which object goes where: its shard number before anything is rendered, its split by its bytes."""

from collections.abc import Iterable, Mapping

from base.digest import sha256_bytes
from pipeline.objects import uid_order


def assign(existing: Mapping[str, int], uids: Iterable[str], objects_per_shard: int) -> dict[str, int]:
    """The shard number of each of `uids`: as in `existing`; new ones, by uid digest, are cut into new numbers.

    Numbers of objects that are no longer asked for stay taken, so a number never comes to mean other objects.
    """
    wanted = set(uids)
    new = sorted(wanted - set(existing), key=uid_order)
    first = max(existing.values(), default=-1) + 1
    cut = {uid: first + index // objects_per_shard for index, uid in enumerate(new)}
    return {uid: existing.get(uid, cut.get(uid, -1)) for uid in wanted}


def split_of(sha256: str, val_fraction: float) -> str:
    """`val` for the share `val_fraction` of all source digests, else `train`."""
    place = int(sha256_bytes(f"split:{sha256}".encode())[:8], 16) / 2**32
    return "val" if place < val_fraction else "train"


def duplicates(sha256: Mapping[str, str], numbers: Mapping[str, int]) -> dict[str, str]:
    """For every object whose bytes an earlier one has: that earlier one.

    Earlier is who stands in the lower shard number already, then who has the lower uid digest. Objects of unknown
    sha256 ("") are nobody's duplicate.
    """
    known = [uid for uid in sha256 if sha256[uid]]
    first: dict[str, str] = {}
    for uid in sorted(known, key=lambda uid: (uid not in numbers, numbers.get(uid, 0), uid_order(uid))):
        first.setdefault(sha256[uid], uid)
    return {uid: first[sha256[uid]] for uid in known if first[sha256[uid]] != uid}
