"""Training pairs out of a version's shards: deterministic, resumable at any pair, the same on any number of ranks."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from base.errors import Failure, UsageError
from base.storage import Storage
from shards.plan import Draw, Order, draw_pair
from shards.read import read_sample
from shards.sample import Sample, view_suffix
from shards.version import Version


@dataclass(frozen=True)
class Pair:
    """One training pair: uint8 RGBA (H, W, 4) of the input and the target view, and how the camera moved.

    `number` is the pair's place in the global order, `source` and `target` are view numbers of object `uid`;
    `R` (3, 3), `T` (3,) and `pose` (4,) are as geometry.relative defines them.
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


def read(  # noqa: PLR0913 -- each is a coordinate of one point in one stream
    version: Version,
    storage: Storage,
    *,
    split: str,
    seed: int,
    position: int,
    rank: int = 0,
    world: int = 1,
    pairs_per_visit: int,
    views: tuple[int, ...] | None = None,
) -> Iterator[Pair]:
    """The pairs of the global order from number `position` on, without end; this rank's share is every `world`-th.

    `views` limits which views may be drawn. All arguments are checked before the first pair is asked for: UsageError
    for a world that does not divide the streams, a rank outside it, or views that the dataset does not have. A damaged
    shard raises Failure naming shard, key and reason when it is reached.
    """
    order = Order.of(version, split, seed, pairs_per_visit)
    drawn = _checked_views(version, views)
    if world < 1 or order.streams % world:
        raise UsageError(
            f"expected ranks × workers to divide the {order.streams} streams of split {split!r} "
            f"({len(order.shards)} shards), got {world}"
        )
    if not 0 <= rank < world or position < 0:
        raise UsageError(f"expected 0 ≤ rank < {world} and position ≥ 0, got rank {rank}, position {position}")
    return _pairs(order, storage, version.hw, drawn, _Share(position, rank, world))


@dataclass(frozen=True)
class _Share:
    position: int
    rank: int
    world: int


def _pairs(
    order: Order, storage: Storage, hw: tuple[int, int], views: tuple[int, ...], share: _Share
) -> Iterator[Pair]:
    count = order.streams
    first = share.position + (share.rank - share.position) % share.world
    streams: dict[int, Iterator[Draw]] = {}
    loaded: dict[str, Sample] = {}
    number = first
    while True:
        stream = number % count
        if stream not in streams:
            streams[stream] = order.draws(stream, number // count)
        draw = next(streams[stream])
        shard, entry = draw.visit.shard, draw.visit.entry
        key = f"{stream}:{draw.visit.epoch}:{entry.uid}"
        sample = loaded.get(key) or read_sample(storage, shard, entry)
        loaded[key] = sample
        if draw.last:
            del loaded[key]
        source, target = draw_pair(order.seed, draw.visit, draw.pair, _good(sample, views))
        yield _pair(number, sample, source, target, hw)
        number += share.world


def _good(sample: Sample, views: tuple[int, ...]) -> tuple[int, ...]:
    """Those of `views` that are good in this object; pairs have no others."""
    if max(views) >= (count := len(sample.extrinsics)):
        raise Failure(f"{sample.shard}: {sample.uid}.extrinsics.npy: expected view {max(views)}, got {count} views")
    good = tuple(view for view in views if view in sample.good)
    if len(good) < 2:
        raise Failure(f"{sample.shard}: {sample.uid}: expected at least two good views of {list(views)}, got {good}")
    return good


def _pair(number: int, sample: Sample, source: int, target: int, hw: tuple[int, int]) -> Pair:
    pairs = sample.pairs
    if (row := pairs.row(source, target)) is None:
        raise Failure(f"{sample.shard}: {sample.uid}.pairs.npz: expected pair {source} → {target} once")
    return Pair(
        number=number,
        uid=sample.uid,
        source=source,
        target=target,
        source_rgba=_image(sample, source, hw),
        target_rgba=_image(sample, target, hw),
        R=pairs.R[row],
        T=pairs.T[row],
        pose=pairs.pose[row],
    )


def _image(sample: Sample, view: int, hw: tuple[int, int]) -> NDArray[np.uint8]:
    image = sample.image(view)
    if image.shape[:2] != tuple(hw):
        got = f"{image.shape[0]}×{image.shape[1]}"
        raise Failure(f"{sample.shard}: {sample.uid}.{view_suffix(view)}: expected {hw[0]}×{hw[1]} pixels, got {got}")
    return image


def _checked_views(version: Version, views: tuple[int, ...] | None) -> tuple[int, ...]:
    drawn = tuple(range(version.views)) if views is None else tuple(views)
    if len(drawn) < 2 or len(set(drawn)) != len(drawn) or not set(drawn) <= set(range(version.views)):
        raise UsageError(f"views: expected at least two different ones of 0 to {version.views - 1}, got {list(drawn)}")
    return drawn
