"""The pairs of a rank, decoded by worker processes: the same pairs in the same order for any number of them.

Each worker reads its own streams in blocks; the rank takes one pair from each worker in turn.
"""

import math
import multiprocessing
import signal
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from itertools import islice
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from base.children import end_with_parent
from base.errors import Failure
from shards.damage import DamagedSample, DamageHandler
from shards.visits import Share

P = TypeVar("P")

Reader: TypeAlias = Callable[..., Iterator[P]]
"""`stream_pairs` without `position`, `rank`, `world`, `on_damage`, `say` and `stop`, which are passed as keywords."""

BLOCK_BYTES = 4 << 20
"""As many pairs as this holds travel together from a worker, in shared memory, of which containers have little …"""
LEAST, MOST = 8, 64
"""… but at least and at most so many."""
WAITING_BLOCKS = 2
"""How many blocks each worker is ahead."""
LOST = (RuntimeError, OSError, EOFError)
"""What a DataLoader raises when a worker is gone, or was killed while it handed something over."""
LOOK_EVERY_S = 0.25


@dataclass
class Block(Generic[P]):
    """What a worker hands over: pairs as columns, what it had to tell, and why it ended, if it did.

    All arrays lie in `memory`, for each tensor that travels costs as much as several pairs do; `laid` tells where: the
    type and shape of each column (N, …), one after the other.
    """

    kind: type[P] | None
    columns: dict[str, list[Any]]
    layout: dict[str, tuple[np.dtype, tuple[int, ...]]]
    memory: Tensor
    damages: list[DamagedSample]
    messages: list[str]
    failure: Failure | None

    def pairs(self) -> Iterator[P]:
        """The pairs; their arrays are views of the block's memory."""
        if self.kind is not None:
            columns = {**self.columns, **self._arrays()}
            for values in zip(*columns.values(), strict=True):
                yield self.kind(**dict(zip(columns, values, strict=True)))

    def _arrays(self) -> dict[str, NDArray[Any]]:
        memory, offset, arrays = self.memory.numpy(), 0, {}
        for name, (dtype, shape) in self.layout.items():
            end = offset + dtype.itemsize * math.prod(shape)
            arrays[name] = memory[offset:end].view(dtype).reshape(shape)
            offset = end
        return arrays


def read_rank_pairs(
    reader: Reader[P],
    share: Share,
    workers: int,
    on_damage: DamageHandler,
    say: Callable[[str], None],
    stop: threading.Event | None = None,
) -> Iterator[P]:
    """The pairs of `share`, read by `workers` processes, or by this one when that is 0.

    Raises at once what the reader raises at once, and later what it raises later; what workers tell is told here.
    Whoever sets `stop` ends them, and so does closing the iterator, even while they wait for a store.
    """
    stop = stop or threading.Event()
    if not workers:
        return reader(**vars(share), on_damage=on_damage, say=say, stop=stop)
    shares = split_share(share, workers)
    reader(**vars(shares[0]))
    return _in_turn(reader, share, shares, on_damage, say, stop)


def split_share(share: Share, workers: int) -> list[Share]:
    """The part of a rank's share that each of its workers reads: the first pair is the first worker's."""
    first, world = next(share.numbers()), share.world * workers
    return [Share(share.position, (first + worker * share.world) % world, world) for worker in range(workers)]


def _in_turn(
    reader: Reader[P],
    share: Share,
    shares: list[Share],
    on_damage: DamageHandler,
    say: Callable[[str], None],
    stop: threading.Event,
) -> Iterator[P]:
    numbers = share.numbers()
    try:
        for blocks in _rounds(reader, shares, say, stop):
            for block in blocks:
                for damage in block.damages:
                    on_damage(damage)
                for line in block.messages:
                    say(line)
            for pair in _interleaved(blocks):
                next(numbers)
                yield pair
        if not stop.is_set():
            alone = Share(next(numbers), share.rank, share.world)
            yield from reader(**vars(alone), on_damage=on_damage, say=say, stop=stop)
    finally:
        stop.set()


def _interleaved(blocks: Sequence[Block[P]]) -> Iterator[P]:
    """A pair of each block in turn, until all are out; raises the failure of a worker where its pairs end.

    Blocks without a failure are equally long.
    """
    columns = [block.pairs() for block in blocks]
    while True:
        for block, column in zip(blocks, columns, strict=True):
            pair = next(column, None)
            if pair is None and block.failure:
                raise block.failure
            if pair is None:
                return
            yield pair


def _rounds(
    reader: Reader[P], shares: list[Share], say: Callable[[str], None], stop: threading.Event
) -> Iterator[list[Block[P]]]:
    """One block of each worker, again and again, until one of them is lost or `stop` is set."""
    loader = DataLoader(
        _Blocks(reader, shares),
        batch_size=None,
        num_workers=len(shares),
        prefetch_factor=WAITING_BLOCKS,
        worker_init_fn=_begin,
        generator=torch.Generator(),  # without one it would draw from the global state
    )
    before = set(multiprocessing.active_children())
    with _childrens_signal_as_it_is():
        blocks = iter(loader)
    workers = set(multiprocessing.active_children()) - before
    threading.Thread(target=_end, args=(workers, stop), name="end of workers", daemon=True).start()
    try:
        while True:
            yield list(islice(blocks, len(shares)))
    except LOST as error:
        if not stop.is_set():
            say(f"a process that decodes was lost ({' '.join(str(error).split()) or 'killed'}); going on without")


def _end(workers: Collection[BaseProcess], stop: threading.Event) -> None:
    """End workers once nobody wants their pairs: one that waits for a store does not notice by itself."""
    while not stop.wait(LOOK_EVERY_S) and any(worker.is_alive() for worker in workers):
        pass
    for worker in workers:
        worker.terminate()


class _Blocks(IterableDataset[Block[P]]):
    def __init__(self, reader: Reader[P], shares: list[Share]) -> None:
        self.reader, self.shares = reader, shares

    def __iter__(self) -> Iterator[Block[P]]:
        worker = get_worker_info()
        damages: list[DamagedSample] = []
        said: list[str] = []
        pairs = self.reader(**vars(self.shares[worker.id if worker else 0]), on_damage=damages.append, say=said.append)
        failure = None
        while failure is None:
            some, failure = _some(pairs)
            yield _block(some, damages[:], said[:], failure)
            damages.clear()
            said.clear()


def _some(pairs: Iterator[P]) -> tuple[list[P], Failure | None]:
    """A block's worth of pairs, or those before the failure that ended them."""
    some: list[P] = []
    try:
        for pair in pairs:
            some.append(pair)
            if len(some) == _length(some[0]):
                return some, None
    except Failure as failure:
        return some, failure
    return some, Failure("expected pairs without end, got a stream that ended")


def _length(pair: Any) -> int:
    """How many pairs like this one make a block; all of a stream are alike."""
    size = sum(value.nbytes for value in vars(pair).values() if isinstance(value, np.ndarray))
    return min(MOST, max(LEAST, BLOCK_BYTES // max(1, size)))


def _block(pairs: Sequence[Any], damages: list[DamagedSample], said: list[str], failure: Failure | None) -> Block[Any]:
    names = [field.name for field in fields(pairs[0])] if pairs else []
    columns = {name: [getattr(pair, name) for pair in pairs] for name in names}
    stacked = {name: np.stack(columns.pop(name)) for name in names if isinstance(columns[name][0], np.ndarray)}
    # Wider numbers first, so that each begins where its type may.
    arrays = dict(sorted(stacked.items(), key=lambda item: -item[1].itemsize))
    laid = {name: (array.dtype, array.shape) for name, array in arrays.items()}
    memory = np.concatenate([np.zeros(0, np.uint8), *(array.reshape(-1).view(np.uint8) for array in arrays.values())])
    kind = type(pairs[0]) if pairs else None
    return Block(kind, columns, laid, torch.from_numpy(memory), damages, said, failure)


@contextmanager
def _childrens_signal_as_it_is() -> Iterator[None]:
    """Undo torch's handler of SIGCHLD, by which a killed worker raises wherever the main thread happens to be."""
    before = signal.getsignal(signal.SIGCHLD) or signal.SIG_DFL
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, before)


def _begin(_worker: int) -> None:
    """Ctrl-C is for the rank, which ends its workers; it does so by SIGTERM, whatever the rank itself does on that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_with_parent()
