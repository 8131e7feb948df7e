"""From a plan to pairs: the draws of a share, their samples fetched ahead of need, damage passed over.

Each stage is a function from iterator to iterator; none depends on what is in a sample.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, NamedTuple, Protocol, TypeVar

from base.errors import Failure, UsageError
from shards.damage import DamagedSample, DamageHandler
from shards.plan import MAX_STREAMS, Draw, Order, Visit, draw_pair

S = TypeVar("S")
P = TypeVar("P")
P_co = TypeVar("P_co", covariant=True)


class Source(Protocol[S, P_co]):
    """What a stream gives. Each method raises DamagedSample for a sample that is not what it should be."""

    def fetch(self, visit: Visit) -> S:
        """The sample of a visit; called by several threads at a time."""
        ...

    def views(self, sample: S) -> tuple[int, ...]:
        """The views of the sample that pairs are drawn from."""
        ...

    def pair(self, number: int, sample: S, source: int, target: int) -> P_co:
        """Pair `number` of the global order: two views of the sample."""
        ...


@dataclass(frozen=True)
class Share:
    """Every `world`-th pair of the global order, those whose number leaves `rank`, from number `position` on."""

    position: int
    rank: int
    world: int

    def check(self, order: Order, split: str) -> None:
        """Raise UsageError for a world that does not divide the streams or a place outside it."""
        if self.world < 1 or order.streams % self.world:
            raise UsageError(
                f"expected ranks × workers to divide the {order.streams} streams of split {split!r} "
                f"({len(order.shards)} shards), got {self.world}; take fewer train.stream.workers, or build it with "
                "smaller shards.objects_per_shard"
            )
        if not 0 <= self.rank < self.world or self.position < 0:
            raise UsageError(
                f"expected 0 ≤ rank < {self.world} and position ≥ 0, got rank {self.rank}, position {self.position}"
            )

    def numbers(self) -> Iterator[int]:
        """The pairs' numbers, without end."""
        number = self.position + (self.rank - self.position) % self.world
        while True:
            yield number
            number += self.world


class FetchedDraw(NamedTuple):
    """A draw, its number in the global order, and its sample once it is there."""

    number: int
    draw: Draw
    sample: Future


def number_draws(order: Order, share: Share) -> Iterator[tuple[int, Draw]]:
    """The draws of a share with their numbers."""
    streams: dict[int, Iterator[Draw]] = {}
    for number in share.numbers():
        position, stream = divmod(number, order.streams)
        if stream not in streams:
            streams[stream] = order.draws(stream, position)
        yield number, next(streams[stream])


def fetch_ahead(
    draws: Iterator[tuple[int, Draw]], fetch: Callable[[Visit], S], submit: "Submit", ahead: int
) -> Iterator[FetchedDraw]:
    """The draws with their samples, each fetched once a visit, `ahead` draws before it is needed."""
    visited: dict[tuple[int, int, int], Future] = {}
    waiting: deque[FetchedDraw] = deque()
    for number, draw in draws:
        key = draw.visit[:3]
        if key not in visited:
            visited[key] = submit(fetch, draw.visit)
        waiting.append(FetchedDraw(number, draw, visited.pop(key) if draw.last else visited[key]))
        if len(waiting) > ahead:
            yield waiting.popleft()


def read_pairs(
    order: Order, source: Source[S, P], share: Share, requests: int, stop: threading.Event, on_damage: DamageHandler
) -> Iterator[P]:
    """The pairs of a share without end; up to `requests` samples are fetched at once, 0 fetches each when needed.

    `stop` is set when the caller closes the iterator, so that nothing goes on asking a store that is away; whoever sets
    it before ends the waiting for one.
    """
    ahead = order.pairs_per_visit * MAX_STREAMS // share.world if requests else 0
    with _submitting(requests, stop) as submit:
        for number, draw, sample in fetch_ahead(number_draws(order, share), source.fetch, submit, ahead):
            yield _make_sound_pair(order, source, number, draw, sample, on_damage)


def _make_sound_pair(
    order: Order, source: Source[S, P], number: int, draw: Draw, sample: Future, on_damage: DamageHandler
) -> P:
    """The pair that is drawn, or of the draws that may stand in for it the first that is sound."""
    try:
        return _make_pair(order, source, number, draw, sample.result())
    except DamagedSample as damage:
        on_damage(damage)
    for other in order.substitutes(draw):
        try:
            return _make_pair(order, source, number, other, source.fetch(other.visit))
        except DamagedSample as damage:
            on_damage(damage)
    raise Failure(f"{draw.visit.shard.name}: expected one sound sample in split {draw.visit.shard.split!r}, got none")


def _make_pair(order: Order, source: Source[S, P], number: int, draw: Draw, sample: S) -> P:
    views = source.views(sample)
    return source.pair(number, sample, *draw_pair(order.seed, draw.visit, draw.pair, views))


Submit = Callable[[Callable[[Visit], S], Visit], Future]
QueuedFetch = tuple[Future, Callable[[Visit], Any], Visit]


@contextmanager
def _submitting(requests: int, stop: threading.Event) -> Iterator[Submit]:
    if not requests:
        yield _fetch_now
        return
    queue: SimpleQueue[QueuedFetch | None] = SimpleQueue()

    def submit(fetch: Callable[[Visit], S], visit: Visit) -> Future:
        future: Future = Future()
        queue.put((future, fetch, visit))
        return future

    for number in range(requests):
        # A pool's threads would hold up the end of a program while a client asks a store that is away.
        threading.Thread(target=_fetch, args=(queue, stop), name=f"fetch-{number}", daemon=True).start()
    try:
        yield submit
    finally:
        stop.set()
        for _ in range(requests):
            queue.put(None)


def _fetch(queue: "SimpleQueue[QueuedFetch | None]", stop: threading.Event) -> None:
    """Do queued fetches; after `stop` cancel them, so that nobody waits for what will not come."""
    while (queued := queue.get()) is not None:
        future, fetch, visit = queued
        if stop.is_set():
            future.cancel()
            continue
        try:
            future.set_result(fetch(visit))
        except BaseException as error:  # noqa: BLE001 -- it is raised where the sample is used
            future.set_exception(error)


def _fetch_now(fetch: Callable[[Visit], S], visit: Visit) -> Future:
    future: Future = Future()
    try:
        future.set_result(fetch(visit))
    except DamagedSample as damage:
        future.set_exception(damage)
    return future
