"""A dataset in an object store: a real S3 server (moto) on loopback, through the interfaces that everyone uses."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from base.errors import Failure, UsageError
from base.progress import SILENT
from base.storage import Storage
from pipeline.builder import build
from pipeline.catalog.rows import Attempt, ObjectRow
from pipeline.catalog.tables import Catalog, VersionFacts
from pipeline.cluster import ray_for
from shards.damage import raise_damage
from shards.pair import Pair
from shards.reader import read_sample
from shards.stream import stream_pairs
from shards.version import read_version, version_name
from shards.visits import Share
from tests.pipeline.builds import changes, files, models, tiny
from tests.server.s3 import BUCKET, LONGEST_AWAY_S, trouble
from tests.shards.datasets import make_version
from tests.shards.test_transport import settings
from train.loader import MOST, WAITING_BLOCKS, read_rank_pairs

pytestmark = pytest.mark.server

MORE_THAN_AHEAD = 2 * 2 * (WAITING_BLOCKS + 1) * MOST
"""Twice as many pairs as two workers may have read ahead."""


@pytest.fixture(scope="module", autouse=True)
def bucket(s3: str) -> str:
    """The URL of an empty bucket."""
    return f"s3://{BUCKET}"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    """A dataset of two small objects in a folder."""
    folder = tmp_path_factory.mktemp("local")
    storage = Storage(folder / "dataset")
    version = make_version(storage, folder / "views", [1, 1])
    storage.write(version_name(version.number), version.to_json())
    return storage


@pytest.mark.parametrize("odd", ["x y", "x[1]", "x*", "x%y", "{a}", "x|y", "a\\b", "x&y=1+2", "é;'"])
def test_a_prefix_of_odd_characters_holds_a_dataset(bucket: str, odd: str, tmp_path: Path) -> None:
    storage, neighbour = Storage(f"{bucket}/odd/{odd}"), Storage(f"{bucket}/odd/x1")
    for each in (storage, neighbour):
        each.write("staging/a/1", b"views")
    catalog = Catalog(storage)
    catalog.record([Attempt(attempt="1", run="r", uid="a", outcome="ok")])
    catalog.commit(changes(ObjectRow(uid="a", source="folder", location="/a")), VersionFacts("0", 2, (32, 32)))
    assert catalog.newest().number == 1
    assert [attempt.uid for attempt in catalog.attempts()] == ["a"]
    assert {name.split("/")[1] for name in storage.names("catalog")} == {"attempts", "objects"}
    storage.remove("staging")
    assert storage.names("staging") == []
    assert neighbour.names("staging") == ["staging/a/1"]


@pytest.mark.parametrize("odd", ["x #1", "x?y", "x%20y", "x:y", "a\tb"])
def test_misread_prefix_is_refused(bucket: str, odd: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^storage\.root: expected a prefix without '.*' in its path, got "):
        build(tiny(tmp_path, tmp_path, storage={"root": f"{bucket}/odd/{odd}"}), SILENT)


def test_what_is_written_can_be_read_measured_listed_and_removed(bucket: str, tmp_path: Path) -> None:
    storage = Storage(f"{bucket}/files")
    assert storage.names("a") == []
    storage.write("a/one.bin", b"first")
    storage.write("a/one.bin", b"0123456789")
    (tmp_path / "two").write_bytes(b"uploaded")
    storage.put_file("a/b/two.bin", tmp_path / "two")
    assert (storage.read("a/one.bin"), storage.size("a/one.bin")) == (b"0123456789", 10)
    assert storage.read("a/b/two.bin") == b"uploaded"
    assert storage.names("a") == ["a/b/two.bin", "a/one.bin"]
    with storage.open("a/one.bin") as stream:
        stream.seek(4)
        assert stream.read(3) == b"456"
        stream.seek(0)
        assert stream.read() == b"0123456789"
    storage.remove("a/one.bin")
    storage.remove("a/one.bin")
    assert not storage.exists("a/one.bin")
    storage.remove("a")
    assert storage.names("a") == []


def test_of_many_who_create_a_file_one_does(bucket: str) -> None:
    stores = [Storage(f"{bucket}/race") for _ in range(4)]
    start, won = threading.Barrier(len(stores)), list[int]()

    def create(index: int) -> None:
        start.wait()
        if stores[index].create("lease.json", str(index).encode()):
            won.append(index)

    threads = [threading.Thread(target=create, args=(index,)) for index in range(len(stores))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert stores[0].read("lease.json") == str(won[0]).encode()
    assert not stores[0].create("lease.json", b"late")


@pytest.mark.parametrize("verb", ["read", "size", "open"])
def test_a_missing_file_is_named(bucket: str, verb: str) -> None:
    storage = Storage(f"{bucket}/files")
    with pytest.raises(Failure, match=f"{bucket}/files/shards/none.tar"):
        getattr(storage, verb)("shards/none.tar")


def test_a_missing_bucket_is_a_sentence(bucket: str) -> None:
    with pytest.raises(Failure, match="s3://nowhere/a/b"):
        Storage("s3://nowhere/a").write("b", b"")


def pairs(storage: Storage, position: int) -> list[Pair]:
    version = read_version(storage)
    stream = stream_pairs(version, storage, split="train", seed=3, position=position, pairs_per_visit=6)
    return list(islice(stream, 12))


def test_bucket_streams_the_same_pairs_as_a_folder(bucket: str, local: Storage) -> None:
    remote = Storage(f"{bucket}/copied")
    for name in [*local.names("shards"), *local.names("versions")]:
        remote.write(name, local.read(name))
    assert read_version(remote) == read_version(local)
    for ours, theirs in zip(pairs(local, 5), pairs(remote, 5), strict=True):
        assert ours.__dict__.keys() == theirs.__dict__.keys()
        for name, value in ours.__dict__.items():
            assert np.array_equal(value, getattr(theirs, name)), name


def samples(storage: Storage) -> list[Mapping[str, bytes]]:
    """The members of every sample of the newest version, so that a difference can be named."""
    version = read_version(storage)
    return [read_sample(storage, shard, entry).members for shard in version.shards for entry in shard.samples]


def shown(pairs: Iterable[Pair]) -> list[tuple[int, str, int, bytes]]:
    return [(pair.number, pair.uid, pair.target, pair.target_rgba.tobytes()) for pair in pairs]


def waited_for(away_s: float, remote: Storage, s3: str, local: Storage, workers: int) -> None:
    """AssertionError unless a stream whose store is away for so long in mid-epoch gives what the folder's gives."""
    for name in [*local.names("shards"), *local.names("versions")]:
        remote.write(name, local.read(name))
    request = {"split": "train", "seed": 3, "pairs_per_visit": 6}
    near = shown(islice(stream_pairs(read_version(local), local, **request, position=5), MORE_THAN_AHEAD))
    reader = partial(
        stream_pairs, read_version(remote), remote, **request, settings=settings(requests=1, patience_s=300.0)
    )
    far = read_rank_pairs(reader, Share(5, 0, 1), workers, raise_damage, print)
    got = shown(islice(far, 1))
    trouble(s3, share=1.0, kinds=["503", "cut"])
    began = time.monotonic()
    back = threading.Timer(away_s, trouble, (s3,), {"share": 0.0})
    back.start()
    try:
        got += shown(islice(far, MORE_THAN_AHEAD - 1))
        waited_s = time.monotonic() - began
    finally:
        back.join()
    assert waited_s >= away_s, "what was read before must not be enough"
    far.close()  # type: ignore[attr-defined]
    assert got == near


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_store_that_is_gone_in_mid_epoch_is_waited_for(bucket: str, s3: str, local: Storage, workers: int) -> None:
    waited_for(2.0, Storage(f"{bucket}/away-{workers}"), s3, local, workers)


@pytest.mark.soak
@pytest.mark.parametrize("workers", [0, 2])
def test_a_store_that_is_gone_for_long_is_waited_for(
    bucket: str, s3: str, local: Storage, workers: int, times: int, figure: Callable[[str, object], None]
) -> None:
    away_s = min(LONGEST_AWAY_S, 1.2 * times)
    waited_for(away_s, Storage(f"{bucket}/long-away-{workers}"), s3, local, workers)
    figure("seconds for which S3 was away in mid-epoch", f"{away_s:.0f}")


def test_bucket_build_equals_folder_build(bucket: str, tmp_path: Path) -> None:
    folder = models(tmp_path / "models", "stool", "avocado")
    here = tiny(tmp_path / "dataset", folder)
    there = tiny(tmp_path, folder, storage={"root": f"{bucket}/built"})
    remote = Storage(there.storage.root)
    with ray_for(here.run):
        first, second = build(here, SILENT), build(there, SILENT)
        for summary in (first, second):
            assert summary.version == 1
            assert summary.rendered == 2
            assert summary.outcomes == {"ok": 2}
        again = build(there, SILENT)
    assert again.idle
    assert (again.version, again.rendered) == (1, 0)
    for one, other in zip(samples(Storage(here.storage.root)), samples(remote), strict=True):
        assert one.keys() == other.keys()
        assert [name for name in one if one[name] != other[name]] == [], (one.get("json"), other.get("json"))
    assert first.shards_written == second.shards_written
    expected = files(tmp_path / "dataset", "shards", "versions")
    names = [*remote.names("shards"), *remote.names("versions")]
    assert {name: remote.read(name) for name in names} == expected
    assert {row.outcome for row in Catalog(remote).objects().values()} == {"ok"}
    assert not remote.exists("lease.json")
    assert not remote.names("staging")
