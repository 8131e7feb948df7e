"""Where training's pairs come from: a version's split `train`, decoded by as many processes as the settings say."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from base.retry import Retry
from base.storage import Storage
from shards.damage import DamageTolerance
from shards.latents import read_latent_index, stream_latents
from shards.pair import LatentPair, Pair
from shards.stream import stream_pairs
from shards.version import Version
from shards.visits import Share
from train.loader import read_rank_pairs
from train.settings import TrainSettings

SPLIT = "train"


def read_training_pairs(
    version: Version,
    storage: Storage,
    settings: TrainSettings,
    share: Share,
    encoder: Callable[[], str],
    passed_over: DamageTolerance,
    stop: threading.Event | None = None,
) -> Iterator[Pair | LatentPair]:
    """The pairs of one rank's share, until `stop` is set. Samples passed over, and a store that is away, are told.

    With `settings.cached_latents` their views are latents of the encoder whose digest `encoder` tells. Raises at once
    UsageError for ranks × workers that do not divide the dataset's streams, Failure for latents that are not there.
    """
    kind: Any = partial(stream_pairs, version)
    if settings.cached_latents:
        digest = encoder()
        retry = Retry(settings.stream.patience_s, passed_over.say, stop or threading.Event())
        latents = retry.call(lambda: read_latent_index(storage, version, digest))
        kind = partial(stream_latents, version, latents)
    reader = partial(
        kind,
        storage,
        split=SPLIT,
        seed=settings.seed,
        pairs_per_visit=settings.pairs_per_visit,
        views=tuple(range(version.views - settings.held_out_views)),
        settings=settings.stream,
    )
    return read_rank_pairs(reader, share, settings.stream.workers, passed_over, passed_over.say, stop)
