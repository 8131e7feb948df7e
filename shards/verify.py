"""Is a dataset what its version says? Every shard's digest, every sample's members."""

import hashlib

from base.errors import Failure
from base.progress import Progress
from base.storage import Storage
from shards.read import read_sample
from shards.version import ShardEntry, Version

CHUNK_BYTES = 1 << 20
MOST_TOLD = 100
FOLDER = "shards"


def verify(storage: Storage, version: Version, progress: Progress) -> None:
    """Read every shard of a version in full. Raises Failure naming each damage: shard, key, reason."""
    found = list[str]()
    with progress.task("verify", total=len(version.shards), unit="shards") as task:
        for shard in version.shards:
            found += damages(storage, shard, views=version.views, hw=version.hw)
            task.advance(1, note=shard.name)
    if found:
        more = [f"and {len(found) - MOST_TOLD} more"] if len(found) > MOST_TOLD else []
        raise Failure("\n".join([*found[:MOST_TOLD], *more]))


def cut_or_gone(storage: Storage, version: Version) -> dict[str, str]:
    """The shards of a version that a look at names and lengths shows to be damaged: what was expected and got, by name.

    Damage inside a shard of the right length shows to `verify` alone.
    """
    there = storage.sizes(FOLDER)
    return {
        shard.name: f"expected {shard.bytes} bytes, got {there.get(shard.name, 'none')}"
        for shard in version.shards
        if there.get(shard.name) != shard.bytes
    }


def damages(storage: Storage, shard: ShardEntry, *, views: int, hw: tuple[int, int]) -> list[str]:
    """What is wrong with one shard: with its samples first, then, where they do not tell, with its length or digest."""
    if not storage.exists(shard.name):
        return [f"{shard.name}: expected a shard in {storage.root}, got none"]
    found = list[str]()
    for entry in shard.samples:
        try:
            read_sample(storage, shard, entry).check(views=views, hw=hw)
        except Failure as failure:
            found.append(str(failure))
    if found:
        return found
    if (size := storage.size(shard.name)) != shard.bytes:
        return [f"{shard.name}: expected {shard.bytes} bytes, got {size}"]
    if (sha256 := _sha256(storage, shard.name)) != shard.sha256:
        return [f"{shard.name}: expected sha256 {shard.sha256}, got {sha256}"]
    return []


def _sha256(storage: Storage, name: str) -> str:
    digest = hashlib.sha256()
    with storage.open(name) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
