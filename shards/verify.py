"""Is a dataset what its version says? Every shard's digest, every sample's members, of pictures and of latents."""

from collections.abc import Callable
from functools import partial

from base.errors import Failure
from base.progress import Progress
from base.storage import Storage
from shards.latents import check_latents, read_latent_indexes
from shards.read import read_sample
from shards.sample import Sample
from shards.version import ShardEntry, Version

MOST_TOLD = 100
FOLDER = "shards"

Check = Callable[[Sample], None]
"""Raises DamagedSample for a sample that is not what it should be."""


def verify(storage: Storage, version: Version, progress: Progress) -> None:
    """Read every shard of a version in full, its cached latents too. Raises Failure naming each: shard, key, reason."""
    found = list[str]()
    pictures = partial(Sample.check, views=version.views, hw=version.hw)
    todo: list[tuple[ShardEntry, Check]] = [(shard, pictures) for shard in version.shards]
    for latents in read_latent_indexes(storage, version):
        vectors = partial(check_latents, encoder=latents.encoder, views=version.views)
        todo += [(shard, vectors) for shard in latents.replace_shards_of(version).shards]
    with progress.task("verify", total=len(todo), unit="shards") as task:
        for shard, check in todo:
            found += find_damage(storage, shard, check)
            task.advance(1, note=shard.name)
    if found:
        more = [f"and {len(found) - MOST_TOLD} more"] if len(found) > MOST_TOLD else []
        raise Failure("\n".join([*found[:MOST_TOLD], *more]))


def find_truncated_or_missing(storage: Storage, version: Version) -> dict[str, str]:
    """The shards of a version that a look at names and lengths shows to be damaged: what was expected and got, by name.

    Damage inside a shard of the right length shows to `verify` alone.
    """
    there = storage.sizes(FOLDER)
    return {
        shard.name: f"expected {shard.bytes} bytes, got {there.get(shard.name, 'none')}"
        for shard in version.shards
        if there.get(shard.name) != shard.bytes
    }


def find_damage(storage: Storage, shard: ShardEntry, check: Check) -> list[str]:
    """What is wrong with one shard: with its samples first, then, where they do not tell, with its length or digest."""
    if not storage.exists(shard.name):
        return [f"{shard.name}: expected a shard in {storage.root}, got none"]
    found = list[str]()
    for entry in shard.samples:
        try:
            check(read_sample(storage, shard, entry))
        except Failure as failure:
            found.append(str(failure))
    if found:
        return found
    if (size := storage.size(shard.name)) != shard.bytes:
        return [f"{shard.name}: expected {shard.bytes} bytes, got {size}"]
    if (sha256 := storage.sha256(shard.name)) != shard.sha256:
        return [f"{shard.name}: expected sha256 {shard.sha256}, got {sha256}"]
    return []
