"""Is a dataset what its version says? Every shard's digest, every sample's members."""

import hashlib

from base.errors import Failure
from base.progress import Progress
from base.storage import Storage
from shards.read import read_shard
from shards.version import ShardEntry, Version

CHUNK_BYTES = 1 << 20


def verify(storage: Storage, version: Version, progress: Progress) -> None:
    """Read every shard of a version in full. Raises Failure for the first damage: shard, key, reason."""
    with progress.task("verify", total=len(version.shards), unit="shards") as task:
        for shard in version.shards:
            verify_shard(storage, shard, views=version.views, hw=version.hw)
            task.advance(1, note=shard.name)


def verify_shard(storage: Storage, shard: ShardEntry, *, views: int, hw: tuple[int, int]) -> None:
    """Check one shard: its samples first, for they name what is wrong, then its length and digest. Raises Failure."""
    if not storage.exists(shard.name):
        raise Failure(f"{shard.name}: expected a shard in {storage.root}, got none")
    for sample in read_shard(storage, shard):
        sample.check(views=views, hw=hw)
    if (size := storage.size(shard.name)) != shard.bytes:
        raise Failure(f"{shard.name}: expected {shard.bytes} bytes, got {size}")
    if (sha256 := _sha256(storage, shard.name)) != shard.sha256:
        raise Failure(f"{shard.name}: expected sha256 {shard.sha256}, got {sha256}")


def _sha256(storage: Storage, name: str) -> str:
    digest = hashlib.sha256()
    with storage.open(name) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
