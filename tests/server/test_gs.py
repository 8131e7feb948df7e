"""A dataset in Google Cloud Storage: gcsfs itself against a server on loopback that answers as Google does."""

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice

import pytest

from base.errors import Failure
from base.storage import Missing, Storage, Unavailable
from shards.damage import raise_damage
from shards.stream import stream_pairs
from shards.version import read_version, version_name
from shards.visits import Share
from tests.server.gs import BUCKET, Store, served, variables
from tests.server.s3 import LONGEST_AWAY_S
from tests.shards.datasets import make_version
from tests.shards.test_transport import same, settings
from train.loader import read_rank_pairs

pytestmark = pytest.mark.server

READING = {"split": "train", "seed": 3, "pairs_per_visit": 6}


@pytest.fixture(scope="module")
def gs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with served() as store, pytest.MonkeyPatch.context() as patch:
        for name, value in variables(store.address, tmp_path_factory.mktemp("nowhere")).items():
            patch.setenv(name, value)
        for name in ("GOOGLE_APPLICATION_CREDENTIALS", "HTTP_PROXY", "http_proxy"):
            patch.delenv(name, raising=False)
        yield store


@pytest.fixture(scope="module")
def near(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    """A dataset of five small objects in a folder."""
    folder = tmp_path_factory.mktemp("near")
    storage = Storage(folder / "dataset")
    version = make_version(storage, folder / "views", [2, 1, 1, 1])
    storage.write(version_name(version.number), version.to_json())
    return storage


@pytest.fixture(scope="module")
def far(gs: Store, near: Storage) -> Storage:
    """The same in the bucket."""
    storage = Storage(f"gs://{BUCKET}/copied")
    for name in [*near.names("shards"), *near.names("versions")]:
        storage.write(name, near.read(name))
    return storage


def test_what_is_written_can_be_read_measured_listed_and_removed(gs: Store) -> None:
    storage = Storage(f"gs://{BUCKET}/files")
    assert storage.names("a") == []
    storage.write("a/one.bin", b"first")
    storage.write("a/one.bin", b"0123456789")
    assert (storage.read("a/one.bin"), storage.size("a/one.bin")) == (b"0123456789", 10)
    assert (storage.read_range("a/one.bin", 4, 3), storage.read_range("a/one.bin", 8, 9)) == (b"456", b"89")
    assert storage.names("a") == ["a/one.bin"]
    with storage.open("a/one.bin") as stream:
        stream.seek(4)
        assert stream.read(3) == b"456"
    storage.remove("a")
    assert not storage.exists("a/one.bin")


def test_a_missing_file_is_named(gs: Store) -> None:
    with pytest.raises(Missing, match=f"could not read gs://{BUCKET}/files/none"):
        Storage(f"gs://{BUCKET}/files").read("none")


def test_gs_streams_the_same_pairs_as_a_folder(gs: Store, near: Storage, far: Storage) -> None:
    version = read_version(far)
    assert version == read_version(near)
    gs.asked.clear()
    theirs = stream_pairs(version, far, **READING, position=5, settings=settings())
    for ours, pair in zip(islice(stream_pairs(version, near, **READING, position=5), 90), theirs, strict=False):
        assert same(ours, pair)
    entries = [entry for shard in version.shards for entry in shard.samples]
    assert gs.spans() == {f"bytes={entry.offset}-{entry.offset + entry.bytes - 1}" for entry in entries}
    assert all(path.startswith("/download/storage/v1/b/") for path, _ in gs.asked), "nothing but bytes is asked for"


@pytest.mark.parametrize(("trouble", "workers"), [(503, 0), (429, 0), ("cut", 0), ("gone", 0), (503, 2), ("cut", 2)])
def test_troubles_in_mid_epoch_change_no_pair(
    gs: Store, near: Storage, far: Storage, trouble: int | str, workers: int
) -> None:
    expected = stream_pairs(read_version(near), near, **READING, position=5)
    reader = partial(stream_pairs, read_version(far), far, **READING, settings=settings(requests=1))
    got = read_rank_pairs(reader, Share(5, 0, 1), workers, raise_damage, str)
    assert same(next(got), next(expected))
    gs.be(trouble, limit=2)
    for pair in islice(got, 89):
        assert same(pair, next(expected))
    got.close()  # type: ignore[attr-defined]
    assert gs.limit < 0, "the trouble was met"


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_final_answer_is_not_asked_for_again(gs: Store, far: Storage, status: int) -> None:
    version = read_version(far)
    gs.be(status)
    gs.asked.clear()
    try:
        with pytest.raises(Failure, match=rf"could not read gs://{BUCKET}/copied/shards/train-") as caught:
            next(stream_pairs(version, far, **READING, position=0, settings=settings(requests=1)))
    finally:
        gs.be(0)
    assert not isinstance(caught.value, Unavailable)
    assert len(gs.asked) == len(set(gs.asked))


@pytest.mark.soak
def test_a_store_that_is_gone_for_long_is_waited_for(
    gs: Store, near: Storage, far: Storage, times: int, figure: Callable[[str, object], None]
) -> None:
    away_s = min(LONGEST_AWAY_S, 1.2 * times)
    expected = stream_pairs(read_version(near), near, **READING, position=5)
    reading = settings(requests=1, patience_s=300.0)
    got = stream_pairs(read_version(far), far, **READING, position=5, settings=reading)
    assert same(next(got), next(expected))
    gs.be(503)
    began = time.monotonic()
    back = threading.Timer(away_s, gs.be, (0,))
    back.start()
    for pair in islice(got, 119):
        assert same(pair, next(expected))
    back.join()
    assert time.monotonic() - began >= away_s
    figure("seconds for which Google's store was away in mid-epoch", f"{away_s:.0f}")
