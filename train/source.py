"""Where training's pairs come from: a version's split `train`, decoded by as many processes as the settings say."""

from collections.abc import Callable, Iterator
from functools import partial

from base.storage import Storage
from shards.damage import PassedOver
from shards.stream import Pair, read
from shards.version import Version
from shards.visits import Share
from train.loader import pairs_of_rank
from train.settings import TrainSettings

SPLIT = "train"


def training_pairs(
    version: Version, storage: Storage, settings: TrainSettings, share: Share, say: Callable[[str], None]
) -> Iterator[Pair]:
    """The pairs of one rank's share, without end. Samples that are passed over, and a store that is away, are told.

    Raises UsageError at once for ranks × workers that do not divide the dataset's streams.
    """
    reader = partial(
        read,
        version,
        storage,
        split=SPLIT,
        seed=settings.seed,
        pairs_per_visit=settings.pairs_per_visit,
        views=tuple(range(version.views - settings.held_out_views)),
        settings=settings.stream,
    )
    passed_over = PassedOver(settings.stream.damaged_samples, say)
    return pairs_of_rank(reader, share, settings.stream.workers, passed_over, say)
