"""Read samples from shards: a single sample by its byte range, or all samples in file order."""

from collections.abc import Callable, Iterator

from base.storage import Storage
from shards.damage import DamagedSample
from shards.sample import Sample
from shards.tar import BadTar, read_members
from shards.version import SampleEntry, ShardEntry

MAX_SAMPLE_BYTES = 1 << 30

ReadRange = Callable[[ShardEntry, SampleEntry], bytes]
"""Reads a sample's bytes; returns fewer bytes than the entry's length at the end of a truncated shard."""


def range_reader(storage: Storage) -> ReadRange:
    """Make a reader with a request to the storage for each range."""
    return lambda shard, entry: storage.read_range(shard.name, entry.offset, entry.bytes)


def read_sample(storage: Storage, shard: ShardEntry, entry: SampleEntry) -> Sample:
    """Read a sample by its byte range. Raises DamagedSample for a damaged sample."""
    return Sample(shard.name, entry.uid, read_sample_members(range_reader(storage), shard, entry))


def read_sample_members(ranges: ReadRange, shard: ShardEntry, entry: SampleEntry) -> dict[str, bytes]:
    """Read the members of a sample by suffix. Raises DamagedSample for a range without exactly this sample."""
    # Before the request: lengths come from a file that may be hostile.
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
    """Whether a shard exists with the expected length and digest. Reads it in full."""
    there = storage.exists(shard.name) and storage.size(shard.name) == shard.bytes
    # Length first: it costs a listing, the digest a download.
    return there and storage.sha256(shard.name) == shard.sha256


def read_shard(storage: Storage, shard: ShardEntry) -> Iterator[Sample]:
    """Read all samples of a shard, in file order."""
    for entry in shard.samples:
        yield read_sample(storage, shard, entry)
