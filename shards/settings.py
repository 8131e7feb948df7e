"""Settings of shards and streams."""

from typing import Annotated

from pydantic import Field

from base.settings import Section


class ShardsSettings(Section):
    """How a dataset is cut into shards and splits.

    `objects_per_shard` counts requested objects, so a shard may hold fewer samples. `val_fraction` is the share of
    source digests in the split `val`.
    """

    objects_per_shard: Annotated[int, Field(ge=1, le=100_000)]
    val_fraction: Annotated[float, Field(ge=0.0, lt=1.0)]


class StreamSettings(Section):
    """How shards are read. Only `damaged_samples` changes what is read.

    Each rank has `workers` processes for decoding; with 0 it decodes by itself. From a remote store, `requests` samples
    are requested at a time, and an unavailable store is asked again for `patience_s`. `cache` is a folder for at most
    `cache_mb` of remote samples; empty means no cache. Up to `damaged_samples` are named and skipped, with another
    object in their place; 0 stops at the first. Each rank counts the samples that it meets, each once, and every call
    starts at zero.
    """

    workers: Annotated[int, Field(ge=0, le=64)]
    requests: Annotated[int, Field(ge=1, le=256)]
    patience_s: Annotated[float, Field(ge=0.0)]
    cache: str
    cache_mb: Annotated[int, Field(ge=1)]
    damaged_samples: Annotated[int, Field(ge=0)]
