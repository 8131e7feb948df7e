"""Worker processes: the same pairs in the same order for any number of them, and one sentence when they fail."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from base.errors import Failure, UsageError
from base.storage import Storage
from shards.damage import DamageTolerance, raise_damage
from shards.pair import Pair
from shards.plan import Draw, Order
from shards.stream import stream_pairs
from shards.version import Version
from shards.visits import Share, number_draws
from tests.shards.datasets import make_version
from tests.shards.test_stream import MANY, paper_order
from train.loader import MOST, Reader, read_rank_pairs, split_share


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[Version, Storage]:
    """Eight streams."""
    folder = tmp_path_factory.mktemp("dataset")
    storage = Storage(folder / "dataset")
    return make_version(storage, folder / "views", [2, 1, 1, 1, 2, 1, 1, 1]), storage


def reader(dataset: tuple[Version, Storage]) -> Reader[Pair]:
    return partial(stream_pairs, *dataset, split="train", seed=3, pairs_per_visit=6)


def rank_of(dataset: tuple[Version, Storage], share: Share, workers: int, **more: Any) -> Iterator[Pair]:
    return read_rank_pairs(reader(dataset), share, workers, more.get("on_damage", raise_damage), more.get("say", print))


def drawn(order: Order, share: Share, workers: int, count: int) -> list[tuple[int, Draw]]:
    """What a rank gets, one from each worker in turn."""
    each = [number_draws(order, one) for one in split_share(share, workers)]
    return [next(each[n % workers]) for n in range(count)]


@given(
    st.tuples(st.lists(st.integers(1, 5), min_size=8, max_size=20), st.integers(0, 200))
    | st.tuples(MANY, st.integers(0, 5000)),
    st.sampled_from([1, 2, 4]),
    st.sampled_from([1, 2]),
    st.integers(1, 3),
)
def test_batches_do_not_depend_on_ranks_or_workers(
    stopped: tuple[list[int], int], ranks: int, workers: int, per_rank: int
) -> None:
    counts, stop = stopped
    order = paper_order(counts)
    batch = per_rank * ranks
    whole = list(islice(number_draws(order, Share(0, 0, 1)), stop + 3 * batch))
    each = [drawn(order, Share(stop, rank, ranks), workers, 3 * per_rank) for rank in range(ranks)]
    for step in range(3):
        mine = [pair for rank in each for pair in rank[step * per_rank : (step + 1) * per_rank]]
        expected = whole[stop + step * batch : stop + (step + 1) * batch]
        assert sorted(number for number, _ in mine) == [number for number, _ in expected]
        assert dict(mine) == dict(expected)


@given(st.lists(st.integers(1, 5), min_size=8, max_size=20), st.sampled_from([1, 2, 4]))
def test_every_stream_has_one_reader(counts: list[int], ranks: int) -> None:
    order = paper_order(counts)
    shares = [one for rank in range(ranks) for one in split_share(Share(5, rank, ranks), 2)]
    read_by = [{draw.visit.stream for _, draw in islice(number_draws(order, one), 40)} for one in shares]
    assert sum(map(len, read_by)) == len(set().union(*read_by)) == order.streams


@pytest.mark.parametrize(("rank", "ranks", "workers", "position"), [(0, 1, 1, 0), (0, 1, 2, 5), (1, 2, 2, 13)])
def test_processes_give_what_one_gives(
    dataset: tuple[Version, Storage], rank: int, ranks: int, workers: int, position: int
) -> None:
    share = Share(position, rank, ranks)
    count = 2 * MOST * workers + 5
    alone = list(islice(rank_of(dataset, share, 0), count))
    got = rank_of(dataset, share, workers)
    for pair, expected in zip(islice(got, count), alone, strict=True):
        assert type(pair) is Pair
        for name, value in vars(expected).items():
            assert np.array_equal(getattr(pair, name), value), name
    got.close()  # type: ignore[attr-defined]


def memory_of(array: np.ndarray) -> int:
    """Where the memory begins that an array is a view of."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array.ctypes.data


def test_block_shares_a_single_memory(dataset: tuple[Version, Storage]) -> None:
    got = rank_of(dataset, Share(0, 0, 1), 1)
    pairs = list(islice(got, MOST + 1))
    arrays = [[value for value in vars(pair).values() if isinstance(value, np.ndarray)] for pair in pairs]
    first, *_, next_block = [{memory_of(array) for array in some} for some in arrays]
    assert len(set().union(*({memory_of(array) for array in some} for some in arrays[:MOST]))) == 1
    assert first != next_block
    assert all(array.flags.aligned for some in arrays for array in some)
    got.close()  # type: ignore[attr-defined]


def test_a_stream_that_ends_is_a_sentence() -> None:
    def ending(**_: Any) -> Iterator[Pair]:
        return iter(())

    with pytest.raises(Failure, match="expected pairs without end, got a stream that ended"):
        next(read_rank_pairs(ending, Share(0, 0, 1), 1, raise_damage, print))


def test_workers_must_divide_the_streams(dataset: tuple[Version, Storage]) -> None:
    with pytest.raises(
        UsageError, match=r"ranks × workers to divide the 8 streams of split 'train' \(8 shards\), got 3"
    ):
        rank_of(dataset, Share(0, 0, 1), 3)
    with pytest.raises(UsageError, match="got 16"):
        rank_of(dataset, Share(0, 0, 4), 4)


def test_worker_damage_and_failure_reach_the_rank(dataset: tuple[Version, Storage], tmp_path: Path) -> None:
    version, storage = dataset
    there = Storage(tmp_path)
    for shard in version.shards:
        there.write(shard.name, storage.read(shard.name))
    there.write(version.shards[0].name, there.read(version.shards[0].name)[: version.shards[0].samples[0].bytes])
    cut = (version, there)
    passed = DamageTolerance(1, str)
    got = list(islice(rank_of(cut, Share(0, 0, 1), 2, on_damage=passed), 90))
    alone = list(islice(rank_of(cut, Share(0, 0, 1), 0, on_damage=DamageTolerance(1, str)), 90))
    assert [(pair.uid, pair.source) for pair in got] == [(pair.uid, pair.source) for pair in alone]
    assert [uid for _, uid in passed.samples] == ["object-0-001"]
    there.remove(version.shards[1].name)
    with pytest.raises(Failure, match=r"could not read .*shards/train-000001.*No such file") as caught:
        list(islice(rank_of(cut, Share(0, 0, 1), 2, on_damage=passed), 300))
    assert "\n" not in str(caught.value)


def test_a_worker_that_is_killed_costs_speed_alone(dataset: tuple[Version, Storage]) -> None:
    import multiprocessing

    said: list[str] = []
    share = Share(0, 0, 1)
    expected = [pair.number for pair in islice(rank_of(dataset, share, 0), 80)]
    before = set(multiprocessing.active_children())
    pairs = rank_of(dataset, share, 1, say=said.append)
    got = [next(pairs).number]
    (worker,) = set(multiprocessing.active_children()) - before
    os.kill(worker.pid or 0, signal.SIGKILL)
    got += [pair.number for pair in islice(pairs, 79)]
    assert got == expected
    assert len(said) == 1
    assert "going on without" in said[0]
    assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL, "a worker's end must not interrupt what is being learnt"


WAITING = """
import os, time
from shards.damage import raise_damage
from shards.visits import Share
from train.loader import read_rank_pairs

def waiting(**_):
    print(os.getpid(), flush=True)
    time.sleep(1e6)
    yield

next(read_rank_pairs(waiting, Share(0, 0, 1), 2, raise_damage, print))
"""


def test_waiting_workers_end_with_a_killed_rank(tmp_path: Path) -> None:
    """They hold the pipe that the rank wrote to: it ends when the last of them does."""
    words = [sys.executable, "-c", WAITING]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}  # a killed process cannot remove its temporary folder
    with subprocess.Popen(
        words, cwd=Path(__file__).parents[2], env=environment, stdout=subprocess.PIPE, text=True
    ) as rank:
        assert rank.stdout
        workers = [int(rank.stdout.readline()) for _ in range(2)]
        rank.kill()
        try:
            assert rank.communicate(timeout=60) == ("", None)
        except subprocess.TimeoutExpired:
            for worker in workers:
                os.kill(worker, signal.SIGKILL)
            raise
