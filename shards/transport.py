"""How a stream's bytes travel: asked for again while the store is away, and kept nearby where that is wished."""

import threading
from collections.abc import Callable
from pathlib import Path

from base.patience import Patience
from base.storage import Storage
from shards.cache import SampleCache
from shards.read import Ranges, ranges_of
from shards.settings import StreamSettings
from shards.version import SampleEntry, ShardEntry


def transport(
    storage: Storage, settings: StreamSettings, stop: threading.Event, say: Callable[[str], None]
) -> tuple[Ranges, int]:
    """Where ranges come from, and how many to ask for at once: 0 where they are at hand.

    Raises UsageError for a cache that cannot be.
    """
    if storage.is_local:
        return ranges_of(storage), 0
    ranges = patient(ranges_of(storage), Patience(settings.patience_s, say, stop))
    if settings.cache:
        ranges = cached(ranges, SampleCache(Path(settings.cache).expanduser(), settings.cache_mb * 1_000_000))
    return ranges, settings.requests


def patient(ranges: Ranges, patience: Patience) -> Ranges:
    """The same ranges, asked for again while the store is away."""
    return lambda shard, entry: patience.ask(lambda: ranges(shard, entry))


def cached(ranges: Ranges, cache: SampleCache) -> Ranges:
    """The same ranges, out of the cache where they are in it."""

    def read(shard: ShardEntry, entry: SampleEntry) -> bytes:
        data = cache.get(shard, entry)
        if data is None:
            data = ranges(shard, entry)
            if len(data) == entry.bytes:
                cache.put(shard, entry, data)
        return data

    return read
