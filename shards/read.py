"""Samples out of shards: one by its byte range, or all of a shard in file order."""

from collections.abc import Callable, Iterator

from base.storage import Storage
from shards.damage import DamagedSample
from shards.sample import Sample
from shards.tar import BadTar, read_members
from shards.version import SampleEntry, ShardEntry

MAX_SAMPLE_BYTES = 1 << 30

ReadRange = Callable[[ShardEntry, SampleEntry], bytes]
"""Where a sample's bytes come from; gives fewer than asked for where a shard ends before."""


def range_reader(storage: Storage) -> ReadRange:
    """Each range by one request to the storage."""
    return lambda shard, entry: storage.read_range(shard.name, entry.offset, entry.bytes)


def read_sample(storage: Storage, shard: ShardEntry, entry: SampleEntry) -> Sample:
    """One sample, read by its range alone. Raises DamagedSample for one that is not what it should be."""
    return Sample(shard.name, entry.uid, read_sample_members(range_reader(storage), shard, entry))


def read_sample_members(ranges: ReadRange, shard: ShardEntry, entry: SampleEntry) -> dict[str, bytes]:
    """The members of a sample by suffix. Raises DamagedSample for a range that is not this sample's."""
    if entry.bytes > MAX_SAMPLE_BYTES:
        raise DamagedSample(shard.name, entry.uid, f": expected at most {MAX_SAMPLE_BYTES} bytes, got {entry.bytes}")
    data = ranges(shard, entry)
    if len(data) != entry.bytes:
        problem = f": expected {entry.bytes} bytes, got a shard that ends after {len(data)}"
        raise DamagedSample(shard.name, entry.uid, problem)
    try:
        members = read_members(data)
    except BadTar as error:
        raise DamagedSample(shard.name, entry.uid, f": {error}") from None
    prefix = f"{entry.uid}."
    for name in members:
        if not name.startswith(prefix):
            raise DamagedSample(shard.name, entry.uid, f": expected members of this key only, got {name!r}")
    return {name.removeprefix(prefix): data for name, data in members.items()}


def is_intact(storage: Storage, shard: ShardEntry) -> bool:
    """True when a shard is there and of the length and digest that it should have; it is read in full."""
    there = storage.exists(shard.name) and storage.size(shard.name) == shard.bytes
    return there and storage.sha256(shard.name) == shard.sha256


def read_shard(storage: Storage, shard: ShardEntry) -> Iterator[Sample]:
    """Every sample of a shard, in file order."""
    for entry in shard.samples:
        yield read_sample(storage, shard, entry)
