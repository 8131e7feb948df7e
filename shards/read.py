"""Samples out of shards: one by its byte range, or all of a shard in file order."""

from collections.abc import Iterator

from base.errors import Failure
from base.storage import Storage
from shards.sample import Sample
from shards.tar import read_members
from shards.version import SampleEntry, ShardEntry

MAX_SAMPLE_BYTES = 1 << 30


def read_sample(storage: Storage, shard: ShardEntry, entry: SampleEntry) -> Sample:
    """One sample, read by its range alone. Raises Failure naming shard, key and reason."""
    if entry.bytes > MAX_SAMPLE_BYTES:
        raise Failure(f"{shard.name}: {entry.uid}: expected at most {MAX_SAMPLE_BYTES} bytes, got {entry.bytes}")
    with storage.open(shard.name) as stream:
        stream.seek(entry.offset)
        data = stream.read(entry.bytes)
    if len(data) != entry.bytes:
        raise Failure(
            f"{shard.name}: {entry.uid}: expected {entry.bytes} bytes, got a shard that ends after {len(data)}"
        )
    return sample_from_range(shard.name, entry.uid, data)


def sample_from_range(shard: str, uid: str, data: bytes) -> Sample:
    """The sample in a byte range of a shard. Raises Failure for members that belong to another key."""
    members = read_members(data, where=f"{shard}: {uid}")
    prefix = f"{uid}."
    for name in members:
        if not name.startswith(prefix):
            raise Failure(f"{shard}: {uid}: expected members of this key only, got {name!r}")
    return Sample(shard, uid, {name.removeprefix(prefix): data for name, data in members.items()})


def read_shard(storage: Storage, shard: ShardEntry) -> Iterator[Sample]:
    """Every sample of a shard, in file order."""
    for entry in shard.samples:
        yield read_sample(storage, shard, entry)
