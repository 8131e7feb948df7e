"""Decode the pairs of a rank in worker processes. Their number changes neither the pairs nor their order.

Each worker reads its own streams in blocks. The rank takes a pair from each worker in turn.
"""

import math
import multiprocessing
import multiprocessing.util
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
"""The size of a block of pairs in shared memory. Containers have little of it."""
LEAST, MOST = 8, 64
"""The least and the most pairs in a block."""
WAITING_BLOCKS = 2
"""How many blocks each worker prepares ahead."""
LOST = (RuntimeError, OSError, EOFError)
"""What a DataLoader raises after the death of a worker, also in the middle of a transfer."""
LOOK_EVERY_S = 0.25


@dataclass
class Block(Generic[P]):
    """A transfer from a worker: pairs as columns, damages, messages, and the failure that ended the worker, if any.

    All arrays share `memory`, because the transfer of a tensor costs as much as several pairs. `layout` has the type
    and shape (N, …) of each column, in the order of their bytes in `memory`.
    """

    kind: type[P] | None
    columns: dict[str, list[Any]]
    layout: dict[str, tuple[np.dtype, tuple[int, ...]]]
    memory: Tensor
    damages: list[DamagedSample]
    messages: list[str]
    failure: Failure | None

    def pairs(self) -> Iterator[P]:
        """Yield the pairs. Their arrays are slices of the block's memory."""
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
    """Read the pairs of `share` in `workers` processes, or in this process for 0.

    The reader's errors are raised here, those about its options at once. Damages and messages of workers arrive at
    `on_damage` and `say`. Setting `stop` or closing the iterator ends the workers, even while they wait for a store.
    """
    stop = stop or threading.Event()
    if not workers:
        return reader(**vars(share), on_damage=on_damage, say=say, stop=stop)
    shares = split_share(share, workers)
    reader(**vars(shares[0]))  # raises for wrong options before any process starts
    return _take_turns(reader, share, shares, on_damage, say, stop)


def split_share(share: Share, workers: int) -> list[Share]:
    """Split a rank's share among its workers. The first worker gets the first pair."""
    first, world = next(share.numbers()), share.world * workers
    return [Share(share.position, (first + worker * share.world) % world, world) for worker in range(workers)]


def _take_turns(
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
        if not stop.is_set():  # a worker was lost, so this process reads on by itself
            # From the first number not yielded: pairs of a block lost on its way are read again.
            alone = Share(next(numbers), share.rank, share.world)
            yield from reader(**vars(alone), on_damage=on_damage, say=say, stop=stop)
    finally:
        stop.set()


def _interleaved(blocks: Sequence[Block[P]]) -> Iterator[P]:
    """Yield a pair of each block in turn, until all are used. Raises a worker's failure in place of its next pair.

    Blocks without a failure have equal lengths.
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
    """Yield rounds of a block from each worker, until a worker is lost or `stop` is set."""
    loader = DataLoader(
        _Blocks(reader, shares),
        # Blocks are batches already; torch would collate them again.
        batch_size=None,
        num_workers=len(shares),
        prefetch_factor=WAITING_BLOCKS,
        worker_init_fn=_begin,
        generator=torch.Generator(),  # by default it would draw from the global state
    )
    # Workers pass tensors through sockets in this folder. Made here, it is removed by this process; a worker that is
    # ended would leave its own folder behind.
    multiprocessing.util.get_temp_dir()
    before = set(multiprocessing.active_children())
    with _keep_child_signal():
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
    """End the workers after `stop` or the death of all. A worker that waits for a store does not notice `stop`."""
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
        messages: list[str] = []
        pairs = self.reader(
            **vars(self.shares[worker.id if worker else 0]), on_damage=damages.append, say=messages.append
        )
        failure = None
        while failure is None:
            some, failure = _next_pairs(pairs)
            yield _block(some, damages[:], messages[:], failure)
            damages.clear()
            messages.clear()


def _next_pairs(pairs: Iterator[P]) -> tuple[list[P], Failure | None]:
    """Take the pairs of a block, or the pairs before a failure."""
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
    """Compute the number of pairs in a block from the size of a pair. All pairs of a stream have the same size."""
    size = sum(value.nbytes for value in vars(pair).values() if isinstance(value, np.ndarray))
    # At least a few, or the transfer of each block would cost more than its decoding.
    return min(MOST, max(LEAST, BLOCK_BYTES // max(1, size)))


def _block(
    pairs: Sequence[Any], damages: list[DamagedSample], messages: list[str], failure: Failure | None
) -> Block[Any]:
    names = [field.name for field in fields(pairs[0])] if pairs else []
    columns = {name: [getattr(pair, name) for pair in pairs] for name in names}
    stacked = {name: np.stack(columns.pop(name)) for name in names if isinstance(columns[name][0], np.ndarray)}
    # Wider types come first, so that each column begins at a multiple of its item size.
    arrays = dict(sorted(stacked.items(), key=lambda item: -item[1].itemsize))
    layout = {name: (array.dtype, array.shape) for name, array in arrays.items()}
    # The empty array is for a block without pairs.
    memory = np.concatenate([np.zeros(0, np.uint8), *(array.reshape(-1).view(np.uint8) for array in arrays.values())])
    kind = type(pairs[0]) if pairs else None
    return Block(kind, columns, layout, torch.from_numpy(memory), damages, messages, failure)


@contextmanager
def _keep_child_signal() -> Iterator[None]:
    """Undo torch's handler of SIGCHLD, which raises a worker's death anywhere in the main thread."""
    before = signal.getsignal(signal.SIGCHLD) or signal.SIG_DFL
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, before)


def _begin(_worker: int) -> None:
    """Leave Ctrl-C to the rank, which ends its workers by SIGTERM. They must not inherit its handler for that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_with_parent()
