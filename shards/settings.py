"""The settings of the shards: how many objects stand together, and how many are held out."""

from typing import Annotated

from pydantic import Field

from base.settings import Section


class ShardsSettings(Section):
    """How a dataset is cut into shards and splits.

    `objects_per_shard` counts the objects asked for, so a shard may hold fewer; `val_fraction` is the share of source
    digests whose objects go to the split `val`.
    """

    objects_per_shard: Annotated[int, Field(ge=1, le=100_000)]
    val_fraction: Annotated[float, Field(ge=0.0, lt=1.0)]


class StreamSettings(Section):
    """How shards are read; none of it changes what is read, but for samples that are damaged.

    `workers` processes decode for each rank, 0 decodes in the rank's own. From a store that is not local, `requests`
    samples are asked for at a time, and one that is away is waited for `patience_s`. `cache` is a folder for what was
    read from afar, at most `cache_mb` of it; empty keeps nothing. `damaged_samples` may be passed over, each named and
    another object in its place, before the work ends; 0 ends at the first. Each rank counts those that it meets, once
    each, and every call counts anew.
    """

    workers: Annotated[int, Field(ge=0, le=64)]
    requests: Annotated[int, Field(ge=1, le=256)]
    patience_s: Annotated[float, Field(ge=0.0)]
    cache: str
    cache_mb: Annotated[int, Field(ge=1)]
    damaged_samples: Annotated[int, Field(ge=0)]
