"""A dataset that is far away: one request a sample, patience with a store that is away, nothing asked for twice."""

import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from base.errors import Failure, UsageError
from base.retry import Retry
from base.settings import Layer, validate
from base.storage import Storage, Unavailable
from shards.pair import Pair
from shards.settings import StreamSettings
from shards.stream import stream_pairs
from shards.version import Version, parse_version, read_version, version_name
from tests.shards.far import Far, join_fetch_threads, served

REMOTE: dict[str, Any] = {
    "workers": 0, "requests": 4, "patience_s": 20.0, "cache": "", "cache_mb": 100, "damaged_samples": 0,
}  # fmt: skip


def settings(**changes: Any) -> StreamSettings:
    return validate(StreamSettings, Layer("test", {**REMOTE, **changes}))


@pytest.fixture
def far(dataset: tuple[Version, Storage]) -> Iterator[Far]:
    version, storage = dataset
    storage.write(version_name(1), version.to_json())
    with served(Path(storage.root).parent) as server:
        yield server


def stream(version: Version, storage: Storage, position: int = 0, **more: Any) -> Iterator[Pair]:
    return stream_pairs(version, storage, split="train", seed=7, position=position, pairs_per_visit=6, **more)


def same(one: Pair, other: Pair) -> bool:
    return all(np.array_equal(value, getattr(other, name)) for name, value in vars(one).items())


def test_a_url_and_the_versions_file_are_all_that_a_reader_needs(dataset: tuple[Version, Storage], far: Far) -> None:
    storage = Storage(f"{far.address}/dataset")
    version = parse_version(storage.read(version_name(1)), where="there")
    assert version == dataset[0]
    epoch = 6 * version.samples("train")
    for ours, near in zip(stream(version, storage, 5, settings=settings()), stream(*dataset, 5), strict=False):
        assert same(ours, near)
        if ours.number == epoch:
            break
    entries = [entry for shard in version.shards for entry in shard.samples]
    spans = {f"bytes={entry.offset}-{entry.offset + entry.bytes - 1}" for entry in entries}
    assert {span for _, span in far.shard_requests()} == spans


def test_a_web_server_may_list_its_versions_or_have_one_named(dataset: tuple[Version, Storage], far: Far) -> None:
    storage = Storage(f"{far.address}/dataset")
    assert read_version(storage, 1) == dataset[0]
    with pytest.raises(UsageError, match=r"http://.*/dataset: expected .* got neither; set train.version or evaluate"):
        read_version(storage)
    far.lists = True
    assert read_version(storage) == dataset[0]
    with pytest.raises(Failure, match="expected a version 2, got only: 1"):
        read_version(storage, 2)
    far.away = 503
    with pytest.raises(Unavailable, match=r"versions/1.json: 503"):
        read_version(storage, 1)


def test_each_visit_is_one_request(dataset: tuple[Version, Storage], far: Far) -> None:
    version, storage = dataset[0], Storage(f"{far.address}/dataset")
    list(islice(stream(version, storage), 6 * 4))
    visits = 6 * 4 // 6
    assert visits <= len(far.shard_requests()) <= visits + 2


@pytest.mark.parametrize("away", [503, 429, "gone"])
def test_a_store_that_is_away_in_mid_epoch_is_waited_for(
    dataset: tuple[Version, Storage], far: Far, away: int | str
) -> None:
    said: list[str] = []

    def end_outage(line: str) -> None:
        said.append(line)
        far.away = 0

    pairs = stream(dataset[0], Storage(f"{far.address}/dataset"), settings=settings(requests=1), say=end_outage)
    near = stream(*dataset)
    assert same(next(pairs), next(near))
    far.away = away
    while not said:  # samples that were fetched ahead come during the outage
        assert same(next(pairs), next(near))
    for _ in range(60):
        assert same(next(pairs), next(near))
    pairs.close()  # type: ignore[attr-defined]
    assert len(said) == 1
    assert "asking again" in said[0]
    assert far.address in said[0]


def test_patience_ends_with_the_shard_named(dataset: tuple[Version, Storage], far: Far) -> None:
    far.away = 500
    pairs = stream(dataset[0], Storage(f"{far.address}/dataset"), settings=settings(patience_s=0.3))
    with pytest.raises(Unavailable, match=r"could not read http://.*/shards/train-.*500"):
        next(pairs)


@pytest.mark.parametrize("status", [403, 404])
def test_a_final_answer_is_not_asked_for_again(dataset: tuple[Version, Storage], far: Far, status: int) -> None:
    far.away = status
    said: list[str] = []
    with pytest.raises(Failure, match=r"could not read http://.*/shards/train-"):
        next(stream(dataset[0], Storage(f"{far.address}/dataset"), settings=settings(), say=said.append))
    join_fetch_threads()
    assert said == []


def test_a_server_without_ranges_is_a_sentence(dataset: tuple[Version, Storage], far: Far) -> None:
    far.ranges = False
    with pytest.raises(Failure, match=r"expected a server that gives \d+ bytes of a file, got \d+"):
        next(stream(dataset[0], Storage(f"{far.address}/dataset"), settings=settings()))


def test_a_shard_that_is_shorter_there_is_damaged(dataset: tuple[Version, Storage], far: Far, tmp_path: Path) -> None:
    version, storage = dataset
    cut = Storage(tmp_path / "dataset")
    for shard in version.shards:
        cut.write(shard.name, storage.read(shard.name)[:5000])
    far.folder = tmp_path
    with pytest.raises(Failure, match=r"expected \d+ bytes, got a shard that ends after \d+"):
        list(islice(stream(version, Storage(f"{far.address}/dataset"), settings=settings()), 60))


def test_closing_ends_all_waiting(dataset: tuple[Version, Storage], far: Far) -> None:
    pairs = stream(dataset[0], Storage(f"{far.address}/dataset"), settings=settings(patience_s=600.0))
    next(pairs)
    far.away = 503
    pairs.close()  # type: ignore[attr-defined]
    join_fetch_threads()


def test_patience_asks_until_it_is_answered_and_no_longer() -> None:
    answers = iter([Unavailable("away"), Unavailable("away"), 7])

    def request() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    said: list[str] = []
    assert Retry(60.0, said.append, threading.Event()).call(request) == 7
    assert len(said) == 1
    stopped = threading.Event()
    stopped.set()
    answers = iter([Unavailable("away"), 7])
    with pytest.raises(Unavailable):
        Retry(60.0, said.append, stopped).call(request)
