"""Damage in mid-stream: named, counted, passed over or fatal, and the order of all else stays what it was."""

import pickle
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from base.errors import Failure
from base.storage import Storage
from shards.arrays import npy_bytes
from shards.damage import DamagedSample, DamageTolerance
from shards.pair import Pair
from shards.stream import stream_pairs
from shards.version import Version
from tests.shards.datasets import damaged, make_version

BAD = "object-0-001"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Version, Storage]:
    folder = tmp_path_factory.mktemp("sound")
    storage = Storage(folder / "dataset")
    return make_version(storage, folder / "views", [3, 3]), storage


def spoilt(
    sound: tuple[Version, Storage], folder: Path, change: Callable[[dict[str, bytes]], object]
) -> tuple[Version, Storage]:
    """The dataset with one sample's members changed, the index as if it had always been so."""
    there = Storage(folder / "dataset")
    return damaged(*sound, there, BAD, change), there


def drop(suffix: str) -> Callable[[dict[str, bytes]], object]:
    return lambda members: members.pop(suffix)


def put(suffix: str, data: bytes) -> Callable[[dict[str, bytes]], None]:
    return lambda members: members.update({suffix: data})


DAMAGES = {
    "missing member": (drop("extrinsics.npy"), "extrinsics.npy: expected this member"),
    "other schema": (put("json", b'{"uid": "object-0-001", "schema": 9}'), "json: expected facts of schema 1"),
    "wrong dtype": (put("extrinsics.npy", npy_bytes(np.zeros((12, 3, 4), np.float32))), "expected float64"),
    "view count": (put("extrinsics.npy", npy_bytes(np.zeros((11, 3, 4)))), "expected 12 views, got 11"),
    "foreign picture": (put("03.webp", b"RIFF\0\0\0\0WEBPVP8L"), "03.webp: expected a (whole )?WebP"),
}


def stream(dataset: tuple[Version, Storage], on_damage: object = None, **place: int) -> Iterator[Pair]:
    more = {"on_damage": on_damage} if on_damage else {}
    request = {"position": 0, **place}
    return stream_pairs(*dataset, split="train", seed=1, pairs_per_visit=6, **request, **more)  # type: ignore[arg-type]


def shown(pair: Pair) -> tuple[str, int, int]:
    return pair.uid, pair.source, pair.target


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_fatal_or_passed_over(sound: tuple[Version, Storage], tmp_path: Path, name: str) -> None:
    change, problem = DAMAGES[name]
    dataset = spoilt(sound, tmp_path, change)
    with pytest.raises(DamagedSample, match=rf"shards/train-000000-\w+\.tar: {BAD}.*{problem}"):
        list(islice(stream(dataset), 36))
    said: list[str] = []
    passed = DamageTolerance(1, said.append)
    got = list(islice(stream(dataset, passed), 72))
    assert [pair.number for pair in got] == list(range(72))
    assert [key[1] for key in passed.samples] == [BAD]
    assert len(said) == 1
    assert "passed over, 1 of at most 1" in said[0]
    for pair, whole in zip(got, islice(stream(sound), 72), strict=True):
        touched = whole.uid == BAD and ("picture" not in name or 3 in (whole.source, whole.target))
        assert (shown(pair) != shown(whole)) == touched
        assert pair.uid != BAD or not touched


def test_substitutes_are_deterministic(sound: tuple[Version, Storage], tmp_path: Path) -> None:
    dataset = spoilt(sound, tmp_path, drop("json"))
    passed = DamageTolerance(1, str)
    whole = list(map(shown, islice(stream(dataset, passed), 60)))
    for world in (1, 2):
        ranks = [stream(dataset, passed, rank=rank, world=world, position=7) for rank in range(world)]
        both = sorted((pair.number, shown(pair)) for rank in ranks for pair in islice(rank, 50 // world))
        assert [pair for _, pair in both] == whole[7:57]
    assert len(set(whole[:36])) == 36, "what stands in must not be what is shown anyway"


def test_more_damage_than_allowed_ends_the_work(sound: tuple[Version, Storage], tmp_path: Path) -> None:
    version, storage = spoilt(sound, tmp_path, drop("json"))
    with pytest.raises(Failure, match=rf"{BAD}\.json: expected this member, got nothing$"):
        list(islice(stream((version, storage), DamageTolerance(0, str)), 36))
    first = version.shards[1].name
    storage.write(first, storage.read(first)[: version.shards[1].samples[0].bytes])
    with pytest.raises(Failure, match="ends after 0, after 1 that were passed over"):
        list(islice(stream((version, storage), DamageTolerance(1, str)), 72))


def test_other_streams_substitute_a_fully_damaged_stream(sound: tuple[Version, Storage], tmp_path: Path) -> None:
    version, storage = spoilt(sound, tmp_path, lambda _: None)
    lost = version.shards[0]
    storage.write(lost.name, b"")
    passed = DamageTolerance(3, str)
    whole = list(islice(stream((version, storage), passed), 72))
    assert sorted(key[1] for key in passed.samples) == [entry.uid for entry in lost.samples]
    assert [pair.number for pair in whole] == list(range(72))
    of_lost = {entry.uid for entry in lost.samples}
    for pair, undamaged in zip(whole, islice(stream(sound), 72), strict=True):
        assert (shown(pair) != shown(undamaged)) == (undamaged.uid in of_lost)
    assert len(set(map(shown, whole[:36]))) == 36, "what stands in must not be what is shown anyway"
    for rank in range(2):
        alone = stream((version, storage), passed, rank=rank, world=2, position=9)
        assert list(map(shown, islice(alone, 30))) == [shown(pair) for pair in whole[9 + (rank - 9) % 2 :: 2]][:30]


def test_a_split_without_one_sound_sample_ends(sound: tuple[Version, Storage], tmp_path: Path) -> None:
    version, storage = spoilt(sound, tmp_path, drop("json"))
    for shard in version.shards:
        storage.write(shard.name, b"")
    with pytest.raises(Failure, match="expected a sound sample in split 'train', got nothing"):
        next(stream((version, storage), DamageTolerance(100, str)))


def test_damage_survives_the_way_out_of_a_process() -> None:
    damage = DamagedSample("shards/x.tar", "mug", ".json: expected this member, got nothing")
    again = pickle.loads(pickle.dumps(damage))
    assert str(again) == str(damage)
    assert again.shard == "shards/x.tar"
    assert again.uid == "mug"
