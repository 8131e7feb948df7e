"""The endless order of a split's pairs: a pure function of (version, split, seed).

There are S canonical streams, the largest power of two ≤ min(64, shards). Each stream counts its own epochs. In each
epoch all shards are permuted and dealt to the streams. A stream permutes its samples within windows of a few shards.
A visit of a sample gives `pairs_per_visit` pairs of views. The global order takes a pair from each stream in turn: pair
number g is pair g // S of stream g mod S, for any number of ranks and workers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from base.errors import Failure, UsageError
from base.seeds import stable_rng
from shards.version import SampleEntry, ShardEntry, Version

MAX_STREAMS = 64
WINDOW_SHARDS = 4
"""A stream permutes samples within windows of this many of its shards."""


class Visit(NamedTuple):
    """A visit of an object in an epoch of a stream. `number` counts the visits of this epoch and stream."""

    epoch: int
    stream: int
    number: int
    shard: ShardEntry
    entry: SampleEntry


class Draw(NamedTuple):
    """A pair to be drawn: number `pair` of `visit`. `last` marks the last pair of the visit."""

    visit: Visit
    pair: int
    last: bool


@dataclass(frozen=True)
class Order:
    """The global order of a split."""

    shards: tuple[ShardEntry, ...]
    seed: int
    pairs_per_visit: int

    @classmethod
    def of(cls, version: Version, split: str, seed: int, pairs_per_visit: int) -> "Order":
        """Make the order of a split. Raises Failure for an empty split, UsageError for `pairs_per_visit` below 1."""
        if not version.split(split):
            known = sorted({shard.split for shard in version.shards})
            raise Failure(f"expected samples in split {split!r} of version {version.number}, got only {known}")
        if pairs_per_visit < 1:
            raise UsageError(f"pairs_per_visit: expected at least 1, got {pairs_per_visit}")
        return cls(version.split(split), seed, pairs_per_visit)

    @property
    def streams(self) -> int:
        """The number S of canonical streams, a power of two."""
        return stream_count(len(self.shards))

    @property
    def interleaved_visits(self) -> int:
        """The number of visits that a stream interleaves. 64 pairs in a row then show 64 objects, or all."""
        # A small dataset has few streams. Without this a batch would show the same object many times.
        return MAX_STREAMS // self.streams

    def shards_in_epoch(self, epoch: int, stream: int) -> list[int]:
        """List the shards of a stream in an epoch, in reading order, as indices into `shards`."""
        # The same permutation for all streams: each takes every S-th, so together they read each shard once.
        order = stable_rng(self.seed, "shards", epoch).permutation(len(self.shards))
        return [int(index) for index in order[stream :: self.streams]]

    def pairs_in_epoch(self, epoch: int, stream: int) -> int:
        """Count the pairs of a stream in an epoch."""
        return (
            sum(len(self.shards[index].samples) for index in self.shards_in_epoch(epoch, stream)) * self.pairs_per_visit
        )

    def visits(self, epoch: int, stream: int) -> list[Visit]:
        """List the visits of a stream in an epoch, in order. Each object of the stream is visited once."""
        dealt, visits = self.shards_in_epoch(epoch, stream), list[Visit]()
        for start in range(0, len(dealt), WINDOW_SHARDS):
            window = [
                (self.shards[index], entry)
                for index in dealt[start : start + WINDOW_SHARDS]
                for entry in self.shards[index].samples
            ]
            order = stable_rng(self.seed, "window", epoch, stream, start).permutation(len(window))
            visits += [Visit(epoch, stream, len(visits) + i, *window[index]) for i, index in enumerate(order)]
        return visits

    def substitutes(self, draw: Draw) -> Iterator[Draw]:
        """Yield the substitutes for a damaged draw: pairs of the visits that follow it in its epoch.

        The visits of its own stream come first, then those of the next streams, each from the same number on. Pair
        numbers continue after the visit's own pairs.
        """
        epoch, stream, number = draw.visit[:3]
        following = (self.visits(epoch, (stream + further) % self.streams) for further in range(self.streams))
        turned = (visits[(number + further) % len(visits)] for visits in following for further in range(len(visits)))
        for turn, visit in enumerate(turned):
            if turn:  # the first visit is damaged
                yield Draw(visit, draw.pair + turn * self.pairs_per_visit, draw.last)

    def draws(self, stream: int, position: int) -> Iterator[Draw]:
        """Yield the draws of a stream from its own pair number `position` on, without end."""
        epoch = 0
        # Whole epochs are skipped without listing their visits.
        while position >= (length := self.pairs_in_epoch(epoch, stream)):
            position, epoch = position - length, epoch + 1
        while True:
            visits = self.visits(epoch, stream)
            for index in range(position, len(visits) * self.pairs_per_visit):
                visit, pair = locate_draw(index, len(visits), self.pairs_per_visit, self.interleaved_visits)
                yield Draw(visits[visit], pair, pair == self.pairs_per_visit - 1)
            epoch, position = epoch + 1, 0


def stream_count(shards: int) -> int:
    """Return the largest power of two ≤ min(64, shards), for `shards` of 1 or more."""
    # A power of two: ranks × workers must divide it, and they mostly are powers of two.
    return 1 << (min(MAX_STREAMS, shards).bit_length() - 1)


def locate_draw(index: int, visits: int, pairs_per_visit: int, spread: int) -> tuple[int, int]:
    """Return (visit, pair) of draw number `index`. Blocks of `spread` visits give first pairs, then second pairs, …"""
    block, within = divmod(index, spread * pairs_per_visit)
    size = min(spread, visits - block * spread)
    return block * spread + within % size, within // size


def draw_pair(seed: int, visit: Visit, pair: int, views: tuple[int, ...]) -> tuple[int, int]:
    """Draw pair number `pair` of a visit among `views`, as (source, target).

    The first len(views) // 2 pairs have no view in common. After them a new permutation begins.
    """
    turn, index = divmod(pair, len(views) // 2)
    order = _shuffle(seed, visit.epoch, visit.entry.uid, turn, len(views))
    return views[order[2 * index]], views[order[2 * index + 1]]


# The pairs of interleaved visits alternate, so the permutations of the current visits are kept.
@lru_cache(maxsize=4 * MAX_STREAMS)
def _shuffle(seed: int, epoch: int, uid: str, turn: int, count: int) -> tuple[int, ...]:
    return tuple(stable_rng(seed, "pairs", epoch, uid, turn).permutation(count).tolist())
