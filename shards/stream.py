"""Training pairs out of a version's shards: deterministic, resumable at any pair, the same on any number of ranks."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Required, TypedDict, TypeVar, Unpack

import numpy as np
from numpy.typing import NDArray

from base.errors import UsageError
from base.retry import say_nothing
from base.storage import Storage
from shards.damage import DamagedSample, DamageHandler, raise_damage
from shards.plan import Order, Visit
from shards.read import ReadRange, range_reader, read_sample_members
from shards.sample import Sample
from shards.settings import StreamSettings
from shards.transport import open_transport
from shards.version import Version
from shards.visits import Share, Source, read_pairs

S = TypeVar("S")
P = TypeVar("P")


@dataclass(frozen=True)
class Pair:
    """One training pair: uint8 RGBA (H, W, 4) of the input and the target view, and how the camera moved.

    `number` is the pair's place in the global order, `source` and `target` are view numbers of object `uid`;
    `R` (3, 3), `T` (3,) and `pose` (4,) are as geometry.relative defines them; `source_polar_rad` is the input
    camera's angle from +z.
    """

    number: int
    uid: str
    source: int
    target: int
    source_rgba: NDArray[np.uint8]
    target_rgba: NDArray[np.uint8]
    R: NDArray[np.float64]
    T: NDArray[np.float64]
    pose: NDArray[np.float64]
    source_polar_rad: float


class StreamOptions(TypedDict, total=False):
    """One point in one stream, and how to read on from there: what `read` and `shards.latents.read_latents` take.

    The pairs of `split` in the order of `seed` from number `position` on, `pairs_per_visit` of an object at a time;
    of them those of `rank` among `world`. `views` limits which views may be drawn. `settings` say how bytes travel,
    without them each sample is asked for once, when it is needed; `say` is told of a store that is away, and `stop`,
    once it is set, ends the waiting for one. A damaged sample is given to `on_damage` when it is reached; where that
    returns, a pair of another object stands in, the same one on every rank and at every resumption.
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


def read(version: Version, storage: Storage, **reading: Unpack[StreamOptions]) -> Iterator[Pair]:
    """The pairs of the global order from number `position` on, without end; this rank's share is every `world`-th.

    All arguments are checked before the first pair is asked for: UsageError for a world that does not divide the
    streams, a rank outside it, or views that the dataset does not have.
    """
    return stream_pairs(
        version, storage, lambda ranges, drawn: ImageSource(ranges, version.views, version.hw, drawn), **reading
    )


def stream_pairs(  # noqa: PLR0913 -- each is a coordinate of one point in one stream
    version: Version,
    storage: Storage,
    source_of: Callable[[ReadRange, tuple[int, ...]], Source[S, P]],
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
    """What `read` gives, whatever `source_of` makes of ranges and the views to draw: see `StreamOptions`."""
    drawn = check_views(version, views)
    order = Order.of(version, split, seed, pairs_per_visit)
    share = Share(position, rank, world)
    share.check(order, split)
    stop = stop or threading.Event()
    ranges, requests = open_transport(storage, settings, stop, say) if settings else (range_reader(storage), 0)
    return read_pairs(order, source_of(ranges, drawn), share, requests, stop, on_damage)


def check_views(version: Version, views: tuple[int, ...] | None) -> tuple[int, ...]:
    """The views to draw, all when None. Raises UsageError for fewer than two, or any that the dataset does not have."""
    drawn = tuple(range(version.views)) if views is None else tuple(views)
    if len(drawn) < 2 or len(set(drawn)) != len(drawn) or not set(drawn) <= set(range(version.views)):
        raise UsageError(f"views: expected at least two different ones of 0 to {version.views - 1}, got {list(drawn)}")
    return drawn


@dataclass(frozen=True)
class ImageSource:
    """Pairs of pictures out of samples of `count` views of `hw` pixels, drawn among `drawn`."""

    ranges: ReadRange
    count: int
    hw: tuple[int, int]
    drawn: tuple[int, ...]

    def fetch(self, visit: Visit) -> Sample:
        """The sample of a visit; only that its members are its own is checked here."""
        return Sample(visit.shard.name, visit.entry.uid, read_sample_members(self.ranges, visit.shard, visit.entry))

    def views(self, sample: Sample) -> tuple[int, ...]:
        """Those of the drawn views that are good in this object; pairs have no others."""
        return good_drawn_views(sample, self.drawn, self.count)

    def pair(self, number: int, sample: Sample, source: int, target: int) -> Pair:
        """The pair of two views, which alone are decoded."""
        stored, row = sample.pairs, find_pair_row(sample, source, target)
        return Pair(
            number=number,
            uid=sample.uid,
            source=source,
            target=target,
            source_rgba=sample.image(source, self.hw),
            target_rgba=sample.image(target, self.hw),
            R=stored.R[row],
            T=stored.T[row],
            pose=stored.pose[row],
            source_polar_rad=sample.polar_rad[source],
        )


def good_drawn_views(sample: Sample, drawn: tuple[int, ...], count: int) -> tuple[int, ...]:
    """The good views of an object among `drawn`. Raises DamagedSample for fewer than two, or unless it has `count`."""
    sample.check_count(count)
    sound = set(sample.good_views)
    good = tuple([view for view in drawn if view in sound])
    if len(good) < 2:
        raise DamagedSample(
            sample.shard, sample.uid, f": expected at least two good views of {list(drawn)}, got {good}"
        )
    return good


def find_pair_row(sample: Sample, source: int, target: int) -> int:
    """Where a pair of views stands in the sample's pairs. Raises DamagedSample when it does not stand there once."""
    if (row := sample.pairs.find_row(source, target)) is None:
        raise DamagedSample(sample.shard, sample.uid, f".pairs.npz: expected pair {source} → {target} once")
    return row
