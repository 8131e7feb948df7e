"""Read training pairs from a version's split `train`, decoded in worker processes."""

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
    tolerance: DamageTolerance,
    stop: threading.Event | None = None,
) -> Iterator[Pair | LatentPair]:
    """Read the pairs of a rank's share until `stop` is set. `tolerance.say` receives skipped samples and outages.

    With `settings.cached_latents` the pairs have latents of the encoder with the digest `encoder()`. Raises at once
    UsageError if ranks × workers do not divide the dataset's streams, and Failure for missing latents.
    """
    open_stream: Any = partial(stream_pairs, version)
    if settings.cached_latents:
        digest = encoder()
        retry = Retry(settings.stream.patience_s, tolerance.say, stop or threading.Event())
        latents = retry.call(lambda: read_latent_index(storage, version, digest))
        open_stream = partial(stream_latents, version, latents)
    reader = partial(
        open_stream,
        storage,
        split=SPLIT,
        seed=settings.seed,
        pairs_per_visit=settings.pairs_per_visit,
        views=tuple(range(version.views - settings.held_out_views)),
        settings=settings.stream,
    )
    return read_rank_pairs(reader, share, settings.stream.workers, tolerance, tolerance.say, stop)
