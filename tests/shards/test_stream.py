"""The global order: the same for any number of ranks, exactly resumable, each object once an epoch."""

from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.settings import load_settings, preset_names
from base.errors import Failure, UsageError
from base.storage import Storage
from shards.pair import Pair
from shards.plan import MAX_STREAMS, WINDOW_SHARDS, Order, draw_pair, locate_draw, stream_count
from shards.stream import stream_pairs
from shards.version import SampleEntry, ShardEntry, Version
from tests.shards.datasets import VIEWS

SHIPPED = Path(__file__).parents[2] / "pipeline.yaml"
COUNTS = st.lists(st.integers(1, 9), min_size=1, max_size=20)
MANY = st.builds(
    lambda shards, seed: np.random.default_rng(seed).integers(1, 4, shards).tolist(),
    st.integers(MAX_STREAMS * WINDOW_SHARDS + 1, 2 * MAX_STREAMS * WINDOW_SHARDS + 9),
    st.integers(0, 99),
)
"""So many shards that some stream has several windows."""


def paper_order(counts: list[int], seed: int = 0, pairs_per_visit: int = 6) -> Order:
    """The order of shards of `counts` objects that exist on paper only."""
    shards = tuple(
        ShardEntry(
            f"shards/train-{number:06d}-{'0' * 12}.tar",
            "train",
            number,
            count,
            "",
            tuple(SampleEntry(f"{number}-{index}", index, 1) for index in range(count)),
        )
        for number, count in enumerate(counts)
    )
    return Order(shards, seed, pairs_per_visit)


@given(st.integers(1, 10_000))
def test_streams_are_a_power_of_two(shards: int) -> None:
    count = stream_count(shards)
    assert count <= min(64, shards) < 2 * count or count == 64
    assert count & (count - 1) == 0


@given(COUNTS | MANY, st.integers(0, 3), st.integers(0, 3))
def test_epoch_visits_each_object_once(counts: list[int], seed: int, epoch: int) -> None:
    order = paper_order(counts, seed)
    dealt = [index for stream in range(order.streams) for index in order.shards_in_epoch(epoch, stream)]
    assert sorted(dealt) == list(range(len(counts)))
    visited = [visit.entry.uid for stream in range(order.streams) for visit in order.visits(epoch, stream)]
    assert sorted(visited) == sorted(entry.uid for shard in order.shards for entry in shard.samples)


@given(MANY, st.integers(0, 3), st.integers(0, 3))
def test_stream_permutes_within_windows(counts: list[int], seed: int, epoch: int) -> None:
    order = paper_order(counts, seed)
    for stream in range(order.streams):
        visits, dealt = order.visits(epoch, stream), order.shards_in_epoch(epoch, stream)
        assert [visit.number for visit in visits] == list(range(len(visits)))
        uids = [visit.entry.uid for visit in visits]
        for start in range(0, len(dealt), WINDOW_SHARDS):
            shards = [order.shards[index] for index in dealt[start : start + WINDOW_SHARDS]]
            window = [entry.uid for shard in shards for entry in shard.samples]
            here, uids = uids[: len(window)], uids[len(window) :]
            assert sorted(here) == sorted(window)
        assert not uids
    assert len(order.shards_in_epoch(epoch, 0)) > WINDOW_SHARDS


def test_each_window_is_mixed_in_a_way_of_its_own() -> None:
    order = paper_order([3] * (2 * MAX_STREAMS * WINDOW_SHARDS))
    for stream in range(order.streams):
        dealt, visits = order.shards_in_epoch(0, stream), order.visits(0, stream)
        stored = [entry.uid for index in dealt for entry in order.shards[index].samples]
        places = [stored.index(visit.entry.uid) for visit in visits]
        first, second = places[: len(places) // 2], places[len(places) // 2 :]
        assert second != sorted(second)
        assert [place - len(first) for place in second] != first


@given(st.integers(1, 50), st.integers(1, 8), st.sampled_from([1, 2, 16, 64]))
def test_interleaving_gives_every_pair_of_every_visit_once(visits: int, pairs: int, spread: int) -> None:
    drawn = [locate_draw(index, visits, pairs, spread) for index in range(visits * pairs)]
    assert sorted(drawn) == [(visit, pair) for visit in range(visits) for pair in range(pairs)]
    first = min(spread, visits)
    assert len({visit for visit, _ in drawn[:first]}) == first


@given(COUNTS | MANY, st.integers(0, 400), st.integers(1, 7))
@settings(max_examples=30, deadline=None)
def test_a_stream_continues_anywhere(counts: list[int], position: int, pairs_per_visit: int) -> None:
    order = paper_order(counts, pairs_per_visit=pairs_per_visit)
    for stream in {0, order.streams - 1}:
        whole = list(islice(order.draws(stream, 0), position + 20))
        assert list(islice(order.draws(stream, position), 20)) == whole[position:]


@pytest.mark.parametrize("objects", [16, 96, 10_000])
def test_small_preset_workers_divide_the_streams(objects: int) -> None:
    chosen = load_settings(SHIPPED, ["small"])
    streams = stream_count(-(-objects // chosen.shards.objects_per_shard))
    assert streams % chosen.train.stream.workers == 0 < chosen.train.stream.workers


@given(st.integers(2, 12), st.integers(0, 5))
def test_pairs_of_a_visit_are_disjoint(count: int, epoch: int) -> None:
    visit = next(paper_order([1]).draws(0, epoch * 6)).visit
    for turn in range(3):
        pairs = range(turn * (count // 2), (turn + 1) * (count // 2))
        drawn = [draw_pair(0, visit, pair, tuple(range(count))) for pair in pairs]
        assert len({view for pair in drawn for view in pair}) == 2 * (count // 2)


@pytest.mark.parametrize("preset", preset_names())
def test_every_presets_pairs_of_a_visit_are_disjoint(preset: str) -> None:
    chosen = load_settings(SHIPPED, [preset])
    views, count = chosen.render.views - chosen.train.held_out_views, chosen.train.pairs_per_visit
    visit = next(paper_order([1], pairs_per_visit=count).draws(0, 0)).visit
    drawn = [draw_pair(0, visit, pair, tuple(range(views))) for pair in range(count)]
    assert len({view for pair in drawn for view in pair}) == 2 * count


def numbers(pairs: list[Pair]) -> list[tuple[int, str, int, int]]:
    return [(pair.number, pair.uid, pair.source, pair.target) for pair in pairs]


def take(
    dataset: tuple[Version, Storage], count: int, *, position: int = 0, rank: int = 0, world: int = 1
) -> list[Pair]:
    version, storage = dataset
    stream = stream_pairs(
        version, storage, split="train", seed=7, position=position, rank=rank, world=world, pairs_per_visit=6
    )
    return list(islice(stream, count))


def test_any_number_of_ranks_reads_the_same_global_order(dataset: tuple[Version, Storage]) -> None:
    alone = numbers(take(dataset, 80))
    assert [number for number, *_ in alone] == list(range(80))
    for position in (0, 3, 41):
        both = [pair for rank in (0, 1) for pair in numbers(take(dataset, 15, position=position, rank=rank, world=2))]
        assert sorted(both) == alone[position : position + 30]


def test_a_position_is_one_integer(dataset: tuple[Version, Storage]) -> None:
    alone = take(dataset, 60)
    resumed = take(dataset, 10, position=50)
    assert numbers(resumed) == numbers(alone[50:])
    assert all(np.array_equal(a.source_rgba, b.source_rgba) for a, b in zip(resumed, alone[50:], strict=True))


def test_a_pair_is_what_the_sample_holds(dataset: tuple[Version, Storage]) -> None:
    for pair in take(dataset, 12):
        assert pair.source != pair.target
        assert pair.source_rgba.dtype == np.uint8
        assert pair.source_rgba[4, 4, 3] == pair.source + 1
        assert pair.target_rgba[4, 4, 3] == pair.target + 1
        assert pytest.approx(np.eye(3), abs=1e-12) == pair.R @ pair.R.T
        assert (pair.T.shape, pair.pose.shape) == ((3,), (4,))


def test_held_out_views_are_never_drawn(dataset: tuple[Version, Storage]) -> None:
    version, storage = dataset
    views = tuple(range(10))
    pairs = islice(
        stream_pairs(version, storage, split="train", seed=0, position=0, pairs_per_visit=6, views=views), 200
    )
    drawn = Counter(view for pair in pairs for view in (pair.source, pair.target))
    assert set(drawn) == set(views)


def test_neighbours_in_the_order_show_different_objects(dataset: tuple[Version, Storage]) -> None:
    pairs = take(dataset, 4)
    assert len({pair.uid for pair in pairs}) >= 3


@pytest.mark.parametrize(
    ("changed", "kind", "reason"),
    [
        ({"split": "val"}, Failure, "split 'val'"),
        ({"world": 3}, UsageError, "divide the 2 streams"),
        ({"world": 2, "rank": 2}, UsageError, "rank 2"),
        ({"position": -1}, UsageError, "position -1"),
        ({"views": (0,)}, UsageError, "at least two"),
        ({"views": (0, VIEWS)}, UsageError, "views"),
        ({"pairs_per_visit": 0}, UsageError, "pairs_per_visit"),
    ],
)
def test_a_request_that_means_nothing_is_refused_at_once(
    dataset: tuple[Version, Storage], changed: dict, kind: type[Failure], reason: str
) -> None:
    request = {"split": "train", "seed": 0, "position": 0, "pairs_per_visit": 6, **changed}
    with pytest.raises(kind, match=reason):
        stream_pairs(*dataset, **request)


def test_another_size_than_promised_is_named(dataset: tuple[Version, Storage]) -> None:
    version, storage = dataset
    stream = stream_pairs(replace(version, hw=(8, 8)), storage, split="train", seed=0, position=0, pairs_per_visit=6)
    with pytest.raises(Failure, match=r"shards/train-.*\.webp: expected 8×8 pixels, got 16×16"):
        next(stream)
