"""Verify a dataset against its version: the digests of shards, and the members of samples, with latents."""

from collections.abc import Callable
from functools import partial

from base.errors import Failure
from base.progress import Progress
from base.storage import Storage
from shards.latents import check_latents, read_latent_indexes
from shards.plain import read_verified_sample
from shards.sample import Sample
from shards.tar import BLOCK, RECORD
from shards.version import ShardEntry, Version, mesh_name

MOST_REPORTED = 100
FOLDER = "shards"

Check = Callable[[Sample], None]
"""Raises DamagedSample for a damaged sample."""


def verify(storage: Storage, version: Version, progress: Progress) -> None:
    """Read all shards of a version in full, with cached latents. Raises Failure with a line for each damage."""
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
    found += [damage for sha256 in version.meshes for damage in find_mesh_damage(storage, sha256)]
    if found:
        more = [f"and {len(found) - MOST_REPORTED} more"] if len(found) > MOST_REPORTED else []
        raise Failure("\n".join([*found[:MOST_REPORTED], *more]))


def find_mesh_damage(storage: Storage, sha256: str) -> list[str]:
    """Describe the damage of a mesh's file."""
    name = mesh_name(sha256)
    if not storage.exists(name):
        return [f"{name}: expected a mesh in {storage.root}, got nothing"]
    got = storage.sha256(name)
    return [f"{name}: expected sha256 {sha256}, got {got}"] if got != sha256 else []


def find_truncated_or_missing(storage: Storage, version: Version) -> dict[str, str]:
    """Find the missing shards and those of a wrong length: a sentence for each, by name.

    Only `verify` finds damage inside a shard of the right length.
    """
    there = storage.sizes(FOLDER)
    return {
        shard.name: f"expected {shard.bytes} bytes, got {there.get(shard.name, 'nothing')}"
        for shard in version.shards
        if there.get(shard.name) != shard.bytes
    }


def find_damage(storage: Storage, shard: ShardEntry, check: Check) -> list[str]:
    """Describe the damage of a shard: of its samples, or, if all are sound, of its length or digest."""
    if not storage.exists(shard.name):
        return [f"{shard.name}: expected a shard in {storage.root}, got nothing"]
    found = list[str]()
    for entry in shard.samples:
        try:
            # Samples first: a digest says that something is wrong, but not where.
            check(read_verified_sample(storage, shard, entry))
        except Failure as failure:
            found.append(str(failure))
    if found:
        return found
    if (size := storage.size(shard.name)) != shard.bytes:
        return [f"{shard.name}: expected {shard.bytes} bytes, got {size}"]
    if (sha256 := storage.sha256(shard.name)) != shard.sha256:
        return [f"{shard.name}: expected sha256 {shard.sha256}, got {sha256}"]
    if (end := _end_of_samples(shard)) is None or not _is_end_of_tar(storage, shard, end):
        return [f"{shard.name}: expected the samples of the version and nothing else, got more"]
    return []


def _end_of_samples(shard: ShardEntry) -> int | None:
    """Return the end of the last sample; None unless the samples follow each other from the shard's beginning."""
    end = 0
    for entry in shard.samples:
        if entry.offset != end:
            return None
        end += entry.bytes
    return end


def _is_end_of_tar(storage: Storage, shard: ShardEntry, offset: int) -> bool:
    """Whether only the zeros at the end of a tar follow `offset`. Plain readers may find samples in anything else."""
    rest = shard.bytes - offset
    return 2 * BLOCK <= rest <= 2 * BLOCK + RECORD and not any(storage.read_range(shard.name, offset, rest))
