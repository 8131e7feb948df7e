"""From a plan to pairs: draw, fetch samples ahead of need, and replace damaged draws.

Each stage is a function from iterator to iterator, for any kind of sample.
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
    """Makes pairs from samples. Each method raises DamagedSample for a damaged sample."""

    def fetch(self, visit: Visit) -> S:
        """Read the sample of a visit. Several threads call this at the same time."""
        ...

    def views(self, sample: S) -> tuple[int, ...]:
        """Return the views to draw pairs from."""
        ...

    def pair(self, number: int, sample: S, source: int, target: int) -> P_co:
        """Make pair `number` of the global order from two views of the sample."""
        ...


@dataclass(frozen=True)
class Share:
    """The share of a rank: the pairs of the global order with number ≡ `rank` mod `world`, from `position` on."""

    position: int
    rank: int
    world: int

    def check(self, order: Order, split: str) -> None:
        """Raise UsageError if `world` does not divide the number of streams, or for an impossible rank or position."""
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
        """Yield the numbers of the pairs, without end."""
        number = self.position + (self.rank - self.position) % self.world
        while True:
            yield number
            number += self.world


class FetchedDraw(NamedTuple):
    """A draw, its number in the global order, and the future of its sample."""

    number: int
    draw: Draw
    sample: Future


def number_draws(order: Order, share: Share) -> Iterator[tuple[int, Draw]]:
    """Yield the draws of a share with their numbers."""
    streams: dict[int, Iterator[Draw]] = {}
    for number in share.numbers():
        position, stream = divmod(number, order.streams)
        # Opened when first met: a rank reads only its own streams.
        if stream not in streams:
            streams[stream] = order.draws(stream, position)
        yield number, next(streams[stream])


def fetch_ahead(
    draws: Iterator[tuple[int, Draw]], fetch: Callable[[Visit], S], submit: "Submit", ahead: int
) -> Iterator[FetchedDraw]:
    """Yield the draws with their samples. Each visit's sample is fetched once, `ahead` draws before it is needed."""
    visited: dict[tuple[int, int, int], Future] = {}
    waiting: deque[FetchedDraw] = deque()
    for number, draw in draws:
        key = draw.visit[:3]
        if key not in visited:
            visited[key] = submit(fetch, draw.visit)
        # The last draw of a visit drops its sample, so that it can be freed.
        waiting.append(FetchedDraw(number, draw, visited.pop(key) if draw.last else visited[key]))
        if len(waiting) > ahead:
            yield waiting.popleft()


def read_pairs(
    order: Order, source: Source[S, P], share: Share, requests: int, stop: threading.Event, on_damage: DamageHandler
) -> Iterator[P]:
    """Yield the pairs of a share without end.

    Up to `requests` samples are fetched at a time; with 0 each sample is fetched when it is needed. Closing the
    iterator sets `stop`, which ends all requests to an unavailable store. The caller may set it earlier.
    """
    # A block of interleaved visits ahead.
    ahead = order.pairs_per_visit * MAX_STREAMS // share.world if requests else 0
    with _submitting(requests, stop) as submit:
        for number, draw, sample in fetch_ahead(number_draws(order, share), source.fetch, submit, ahead):
            yield _make_sound_pair(order, source, number, draw, sample, on_damage)


def _make_sound_pair(
    order: Order, source: Source[S, P], number: int, draw: Draw, sample: Future, on_damage: DamageHandler
) -> P:
    """Make the pair of a draw, or of its first sound substitute."""
    try:
        return _make_pair(order, source, number, draw, sample.result())
    except DamagedSample as damage:
        on_damage(damage)
    for other in order.substitutes(draw):
        try:
            # Fetched here and now: damage is rare, and the plan ahead must not change by it.
            return _make_pair(order, source, number, other, source.fetch(other.visit))
        except DamagedSample as damage:
            on_damage(damage)
    raise Failure(f"{draw.visit.shard.name}: expected a sound sample in split {draw.visit.shard.split!r}, got nothing")


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
    """Run queued fetches. After `stop`, cancel them instead, so that no reader waits for them."""
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
        # Kept for the moment of use: the damage of a sample fetched ahead counts only at its turn.
        future.set_exception(damage)
    return future
