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
