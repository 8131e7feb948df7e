"""Stream training pairs from the shards of a version.

The stream is deterministic and resumes at any pair. All ranks together read the same pairs for any number of ranks.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Required, TypedDict, TypeVar, Unpack

from base.errors import UsageError
from base.retry import say_nothing
from base.storage import Storage
from shards.damage import DamageHandler, raise_damage
from shards.pair import Pair, good_drawn_views, pair_facts
from shards.plan import Order, Visit
from shards.reader import ReadRange, range_reader, read_sample_members
from shards.sample import Sample
from shards.settings import StreamSettings
from shards.transport import open_transport
from shards.version import Version, read_version
from shards.visits import Share, Source, read_pairs

S = TypeVar("S")
P = TypeVar("P")


class StreamOptions(TypedDict, total=False):
    """Which pairs to stream, and how: the options of `stream_pairs` and `shards.latents.stream_latents`.

    `split` is streamed in the order of `seed` from pair number `position` on, with `pairs_per_visit` pairs of an object
    at a time. `rank` reads its share among `world` ranks. `views` limits the views to draw. `settings` has retries,
    cache and prefetching; without it each sample is requested once, when it is needed. `say` receives messages about an
    unavailable store. Setting `stop` ends the waiting for it. `on_damage` receives each damaged sample. If it returns,
    a pair of another object is the substitute, the same pair on every rank and after every resumption.
    """

    split: Required[str]
    seed: Required[int]
    position: Required[int]
    rank: int
    world: int
    pairs_per_visit: Required[int]
    views: tuple[int, ...] | None
    settings: StreamSettings | None
    on_damage: DamageHandler
    say: Callable[[str], None]
    stop: threading.Event | None


def read(  # noqa: PLR0913 -- the options of a data loader
    root: str | Path,
    *,
    version: int | None = None,
    split: str = "train",
    seed: int = 0,
    position: int = 0,
    rank: int = 0,
    world: int = 1,
    pairs_per_visit: int | None = None,
    settings: StreamSettings | None = None,
) -> Iterator[Pair]:
    """Stream the pairs of a dataset without end.

    `root` is the dataset's folder or URL. `version` defaults to the newest. `pairs_per_visit` defaults to half of the
    number of views, so that each visit of an object shows each view once. Every `world`-th pair belongs to `rank`.
    Raises Failure for a dataset without versions, and UsageError for options that do not fit the dataset.

        from shards import read

        for pair in read("runs/demo/dataset", split="train", seed=0):
            pair.source_rgba, pair.target_rgba, pair.R, pair.T, pair.pose
    """
    storage = Storage(root, "root")
    found = read_version(storage, version)
    return stream_pairs(
        found,
        storage,
        split=split,
        seed=seed,
        position=position,
        rank=rank,
        world=world,
        pairs_per_visit=pairs_per_visit or found.views // 2,
        settings=settings,
    )


def stream_pairs(version: Version, storage: Storage, **options: Unpack[StreamOptions]) -> Iterator[Pair]:
    """Stream this rank's share of the pairs of a version without end.

    Options are checked before the first pair is requested. Raises UsageError if `world` does not divide the number of
    streams, for a rank outside `world`, and for views that the dataset does not have.
    """
    return open_stream(
        version, storage, lambda ranges, drawn: ImageSource(ranges, version.views, version.hw, drawn), **options
    )


def open_stream(  # noqa: PLR0913 -- see StreamOptions
    version: Version,
    storage: Storage,
    make_source: Callable[[ReadRange, tuple[int, ...]], Source[S, P]],
    *,
    split: str,
    seed: int,
    position: int,
    rank: int = 0,
    world: int = 1,
    pairs_per_visit: int,
    views: tuple[int, ...] | None = None,
    settings: StreamSettings | None = None,
    on_damage: DamageHandler = raise_damage,
    say: Callable[[str], None] = say_nothing,
    stop: threading.Event | None = None,
) -> Iterator[P]:
    """Stream the pairs of any source. `make_source` gets a range reader and the views to draw. See `StreamOptions`."""
    drawn = check_views(version, views)
    order = Order.of(version, split, seed, pairs_per_visit)
    share = Share(position, rank, world)
    # Before any request, so that a wrong option is reported at the call and not at the first pair.
    share.check(order, split)
    stop = stop or threading.Event()
    ranges, requests = open_transport(storage, settings, stop, say) if settings else (range_reader(storage), 0)
    return read_pairs(order, make_source(ranges, drawn), share, requests, stop, on_damage)


def check_views(version: Version, views: tuple[int, ...] | None) -> tuple[int, ...]:
    """Return the views to draw; None means all. Raises UsageError for fewer than two or unknown views."""
    drawn = tuple(range(version.views)) if views is None else tuple(views)
    if len(drawn) < 2 or len(set(drawn)) != len(drawn) or not set(drawn) <= set(range(version.views)):
        raise UsageError(f"views: expected at least two different ones of 0 to {version.views - 1}, got {list(drawn)}")
    return drawn


@dataclass(frozen=True)
class ImageSource:
    """Makes pairs of pictures from samples with `count` views of `hw` pixels. Only views in `drawn` are used."""

    ranges: ReadRange
    count: int
    hw: tuple[int, int]
    drawn: tuple[int, ...]

    def fetch(self, visit: Visit) -> Sample:
        """Read the sample of a visit, without decoding it."""
        return Sample(visit.shard.name, visit.entry.uid, read_sample_members(self.ranges, visit.shard, visit.entry))

    def views(self, sample: Sample) -> tuple[int, ...]:
        """Return the good views to draw pairs from."""
        return good_drawn_views(sample, self.drawn, self.count)

    def pair(self, number: int, sample: Sample, source: int, target: int) -> Pair:
        """Decode two views and make a pair of them."""
        return Pair(
            **pair_facts(number, sample, source, target),
            source_rgba=sample.image(source, self.hw),
            target_rgba=sample.image(target, self.hw),
        )
