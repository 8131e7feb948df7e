"""What webdataset 1.0.2 does to whoever streams with it, each shown on our tars, and what this project does instead."""

import gc
import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import webdataset as wds
from webdataset.gopen import gopen, gopen_schemes

from base.errors import Failure
from base.storage import Storage
from shards.damage import DamageTolerance
from shards.pair import Pair
from shards.stream import stream_pairs
from shards.version import Version
from tests.shards.datasets import make_version

pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # webdataset leaves its files open
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(autouse=True)
def left_open() -> Iterator[None]:
    yield
    gc.collect()


def urls(dataset: tuple[Version, Storage]) -> list[str]:
    return [str(dataset[1].local_path(shard.name)) for shard in dataset[0].shards]


def keys(samples: Any) -> list[str]:
    return [sample["__key__"] for sample in samples]


def stream(version: Version, storage: Storage, position: int = 0, **more: Any) -> Iterator[Pair]:
    return stream_pairs(version, storage, split="train", seed=0, position=position, pairs_per_visit=6, **more)


def copied(dataset: tuple[Version, Storage], root: str) -> Storage:
    there = Storage(root)
    for shard in dataset[0].shards:
        there.write(shard.name, dataset[1].read(shard.name))
    return there


def test_it_opens_no_object_store(dataset: tuple[Version, Storage]) -> None:
    with pytest.raises(ValueError, match="no gopen handler defined"):
        gopen("s3://bucket/shard.tar")
    there = copied(dataset, f"memory://{uuid4().hex}")
    ours, near = next(stream(dataset[0], there)), next(stream(*dataset))
    assert (ours.uid, ours.source) == (near.uid, near.source)


def test_it_cannot_resume(dataset: tuple[Version, Storage]) -> None:
    plain = wds.WebDataset(urls(dataset), shardshuffle=False)
    assert not hasattr(plain, "state_dict")
    assert not hasattr(wds.WebLoader(plain), "state_dict")
    whole = [pair.uid for pair in islice(stream(*dataset), 40)]
    assert [pair.uid for pair in islice(stream(*dataset, position=23), 17)] == whole[23:]


def test_every_epoch_has_one_order(dataset: tuple[Version, Storage]) -> None:
    plain = wds.WebDataset(urls(dataset), shardshuffle=100, seed=1)
    assert keys(plain) == keys(plain)
    epoch = 6 * dataset[0].samples("train")
    pairs = [pair.uid for pair in islice(stream(*dataset), 3 * epoch)]
    assert len({tuple(pairs[n : n + epoch]) for n in range(0, 3 * epoch, epoch)}) == 3


def test_a_tar_that_was_cut_short_gives_half_a_sample(dataset: tuple[Version, Storage], tmp_path: Path) -> None:
    version = dataset[0]
    there = copied(dataset, str(tmp_path))
    longest = max(version.shards, key=lambda shard: len(shard.samples))
    last = longest.samples[-1]
    there.write(longest.name, there.read(longest.name)[: last.offset + last.bytes // 2])
    handlers = {"shardshuffle": False, "handler": wds.ignore_and_continue}
    found = list(wds.WebDataset([str(there.local_path(longest.name))], **handlers))
    assert found[-1]["__key__"] == last.uid
    assert "pairs.npz" not in found[-1]
    passed = DamageTolerance(1, str)
    list(islice(stream(version, there, on_damage=passed), 36))
    assert list(passed.samples) == [(longest.name, last.uid)]
    with pytest.raises(Failure, match=f"{longest.name}: {last.uid}: expected .* bytes, got a shard that ends after"):
        list(islice(stream(version, there), 36))


def test_its_cache_takes_one_shard_for_another_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(url: str, *_: object) -> io.BytesIO:
        return io.BytesIO(Path(url.removeprefix("http://there")).read_bytes())

    monkeypatch.setitem(gopen_schemes, "http", opened)
    places = []
    for name, counts in (("one", [1]), ("two", [2])):
        storage = Storage(tmp_path / name)
        version = make_version(storage, tmp_path / f"{name}-views", counts)
        (tmp_path / name / "000.tar").write_bytes(storage.read(version.shards[0].name))
        places.append(f"http://there{tmp_path / name / '000.tar'}")
    (tmp_path / "cache").mkdir()
    cache = {"cache_dir": str(tmp_path / "cache"), "shardshuffle": False}
    first, second = (keys(wds.WebDataset([place], **cache)) for place in places)
    assert first == second == ["object-0-000"], "the second shard holds two objects"
    # Ours is keyed by the shard's digest: tests/shards/test_cache.py, test_shards_of_one_name_...
