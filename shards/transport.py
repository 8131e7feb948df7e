"""How a stream's bytes travel: asked for again while the store is away, and kept nearby where that is wished."""

import threading
from collections.abc import Callable
from pathlib import Path

from base.retry import Retry
from base.storage import Storage
from shards.cache import SampleCache
from shards.read import ReadRange, range_reader
from shards.settings import StreamSettings
from shards.version import SampleEntry, ShardEntry


def open_transport(
    storage: Storage, settings: StreamSettings, stop: threading.Event, say: Callable[[str], None]
) -> tuple[ReadRange, int]:
    """Where ranges come from, and how many to ask for at once: 0 where they are at hand.

    Raises UsageError for a cache that cannot be.
    """
    if storage.is_local:
        return range_reader(storage), 0
    ranges = with_retries(range_reader(storage), Retry(settings.patience_s, say, stop))
    if settings.cache:
        ranges = with_cache(ranges, SampleCache(Path(settings.cache).expanduser(), settings.cache_mb * 1_000_000))
    return ranges, settings.requests


def with_retries(ranges: ReadRange, retry: Retry) -> ReadRange:
    """The same ranges, asked for again while the store is away."""
    return lambda shard, entry: retry.call(lambda: ranges(shard, entry))


def with_cache(ranges: ReadRange, cache: SampleCache) -> ReadRange:
    """The same ranges, out of the cache where they are in it."""

    def read(shard: ShardEntry, entry: SampleEntry) -> bytes:
        data = cache.get(shard, entry)
        if data is None:
            data = ranges(shard, entry)
            if len(data) == entry.bytes:
                cache.put(shard, entry, data)
        return data

    return read
