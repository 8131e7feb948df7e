"""How a stream's bytes travel from a remote store: with retries, and with a local cache on request."""

import threading
from collections.abc import Callable
from pathlib import Path

from base.retry import Retry
from base.storage import Storage
from shards.cache import SampleCache
from shards.reader import ReadRange, range_reader
from shards.settings import StreamSettings
from shards.version import SampleEntry, ShardEntry


def open_transport(
    storage: Storage, settings: StreamSettings, stop: threading.Event, say: Callable[[str], None]
) -> tuple[ReadRange, int]:
    """Make the reader for `storage`; return it with the number of simultaneous requests (0 for local storage).

    Raises UsageError for an invalid cache folder.
    """
    if storage.is_local:
        # A local disk is its own cache, and it does not come back by waiting.
        return range_reader(storage), 0
    ranges = with_retries(range_reader(storage), Retry(settings.patience_s, say, stop))
    # The cache comes before the retries: a cached sample needs no request.
    if settings.cache:
        ranges = with_cache(ranges, SampleCache(Path(settings.cache).expanduser(), settings.cache_mb * 1_000_000))
    return ranges, settings.requests


def with_retries(ranges: ReadRange, retry: Retry) -> ReadRange:
    """Repeat each request while the store is unavailable."""
    return lambda shard, entry: retry.call(lambda: ranges(shard, entry))


def with_cache(ranges: ReadRange, cache: SampleCache) -> ReadRange:
    """Read samples from the cache if they are there, and else from `ranges` into the cache."""

    def read(shard: ShardEntry, entry: SampleEntry) -> bytes:
        data = cache.get(shard, entry)
        if data is None:
            data = ranges(shard, entry)
            # A truncated sample is not kept, because the shard may be repaired.
            if len(data) == entry.bytes:
                cache.put(shard, entry, data)
        return data

    return read
