"""The order in which a split is streamed: a pure function of (version, split, seed), without end.

S canonical streams (the largest power of two ≤ min(64, shards)) each follow their own clock of epochs. In each epoch
all shards are permuted and dealt to the streams; a stream permutes its samples within windows of a few shards. A visit
of a sample gives `pairs_per_visit` pairs of views. The global order takes one pair from each stream in turn: pair
number g is pair g // S of stream g mod S, whatever the number of ranks and workers.
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
"""A stream mixes the samples of this many of its shards with one another."""


class Visit(NamedTuple):
    """One object in one epoch of one stream; `place` is where in them."""

    epoch: int
    stream: int
    place: int
    shard: ShardEntry
    entry: SampleEntry


class Draw(NamedTuple):
    """One pair to be drawn: number `pair` of the `pairs_per_visit` pairs of `visit`; `last` closes the visit."""

    visit: Visit
    pair: int
    last: bool


@dataclass(frozen=True)
class Order:
    """The global order of one split. Raises Failure for a split without samples, UsageError for no pairs."""

    shards: tuple[ShardEntry, ...]
    seed: int
    pairs_per_visit: int

    @classmethod
    def of(cls, version: Version, split: str, seed: int, pairs_per_visit: int) -> "Order":
        """The order of `split` of a version."""
        if not version.split(split):
            known = sorted({shard.split for shard in version.shards})
            raise Failure(f"expected samples in split {split!r} of version {version.number}, got only {known}")
        if pairs_per_visit < 1:
            raise UsageError(f"pairs_per_visit: expected at least 1, got {pairs_per_visit}")
        return cls(version.split(split), seed, pairs_per_visit)

    @property
    def streams(self) -> int:
        """S, the number of canonical streams: a power of two."""
        return stream_count(len(self.shards))

    @property
    def interleaved_visits(self) -> int:
        """How many visits a stream interleaves, so that 64 pairs in a row show 64 objects where there are as many."""
        return MAX_STREAMS // self.streams

    def shards_in_epoch(self, epoch: int, stream: int) -> list[int]:
        """The shards that a stream reads in an epoch, as indices into `shards`, in order."""
        order = stable_rng(self.seed, "shards", epoch).permutation(len(self.shards))
        return [int(index) for index in order[stream :: self.streams]]

    def pairs_in_epoch(self, epoch: int, stream: int) -> int:
        """How many pairs a stream gives in an epoch."""
        return (
            sum(len(self.shards[index].samples) for index in self.shards_in_epoch(epoch, stream)) * self.pairs_per_visit
        )

    def visits(self, epoch: int, stream: int) -> list[Visit]:
        """The objects that a stream visits in an epoch, in order; each of its objects once."""
        dealt, visits = self.shards_in_epoch(epoch, stream), list[Visit]()
        for start in range(0, len(dealt), WINDOW_SHARDS):
            window = [
                (self.shards[index], entry)
                for index in dealt[start : start + WINDOW_SHARDS]
                for entry in self.shards[index].samples
            ]
            order = stable_rng(self.seed, "window", epoch, stream, start).permutation(len(window))
            visits += [Visit(epoch, stream, len(visits) + place, *window[index]) for place, index in enumerate(order)]
        return visits

    def substitutes(self, draw: Draw) -> Iterator[Draw]:
        """What is drawn in place of a draw that cannot be: further pairs of the visits that follow, then none.

        Those of its own stream come first, then those of the streams after it, from the same place on. A visit gives
        its own pairs first, so what stands in for another is not what it shows anyway.
        """
        epoch, stream, place = draw.visit[:3]
        following = (self.visits(epoch, (stream + further) % self.streams) for further in range(self.streams))
        turned = (visits[(place + further) % len(visits)] for visits in following for further in range(len(visits)))
        for turn, visit in enumerate(turned):
            if turn:
                yield Draw(visit, draw.pair + turn * self.pairs_per_visit, draw.last)

    def draws(self, stream: int, position: int) -> Iterator[Draw]:
        """The draws of a stream from its own pair number `position` on, without end."""
        epoch = 0
        while position >= (length := self.pairs_in_epoch(epoch, stream)):
            position, epoch = position - length, epoch + 1
        while True:
            visits = self.visits(epoch, stream)
            for index in range(position, len(visits) * self.pairs_per_visit):
                visit, pair = locate_draw(index, len(visits), self.pairs_per_visit, self.interleaved_visits)
                yield Draw(visits[visit], pair, pair == self.pairs_per_visit - 1)
            epoch, position = epoch + 1, 0


def stream_count(shards: int) -> int:
    """The largest power of two ≤ min(64, shards), for at least one shard."""
    return 1 << (min(MAX_STREAMS, shards).bit_length() - 1)


def locate_draw(index: int, visits: int, pairs_per_visit: int, spread: int) -> tuple[int, int]:
    """(visit, pair) of draw number `index`: blocks of `spread` visits give their first pairs, then their second, …"""
    block, within = divmod(index, spread * pairs_per_visit)
    size = min(spread, visits - block * spread)
    return block * spread + within % size, within // size


def draw_pair(seed: int, visit: Visit, pair: int, views: tuple[int, ...]) -> tuple[int, int]:
    """Pair number `pair` of a visit as (source, target) out of `views`.

    The first len(views) // 2 pairs have no view in common; after them a new permutation begins.
    """
    turn, place = divmod(pair, len(views) // 2)
    order = _shuffled(seed, visit.epoch, visit.entry.uid, turn, len(views))
    return views[order[2 * place]], views[order[2 * place + 1]]


@lru_cache(maxsize=4 * MAX_STREAMS)
def _shuffled(seed: int, epoch: int, uid: str, turn: int, count: int) -> tuple[int, ...]:
    return tuple(stable_rng(seed, "pairs", epoch, uid, turn).permutation(count).tolist())
