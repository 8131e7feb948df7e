"""The cache: keyed by content, bounded, shared by processes, and never in the way."""

import multiprocessing
import os
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from base.errors import Failure, UsageError
from base.storage import Storage
from shards.cache import LEDGER, SampleCache
from shards.stream import stream_pairs
from shards.version import SampleEntry, ShardEntry, Version, parse_version
from tests.shards.far import join_fetch_threads, served
from tests.shards.test_transport import settings

SHARD = ShardEntry("shards/train-000000-0123456789ab.tar", "train", 0, 1 << 20, "ab" * 32, ())
ENTRY = SampleEntry("a", 512, 1000)


def in_use(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.name != LEDGER)


def test_what_was_read_once_is_not_asked_for_again(dataset: tuple[Version, Storage], tmp_path: Path) -> None:
    version, storage = dataset
    with served(Path(storage.root).parent) as far:
        request = {"split": "train", "seed": 0, "position": 0, "pairs_per_visit": 6}
        cached = settings(cache=str(tmp_path / "cache"))
        there = Storage(f"{far.address}/dataset")
        first = list(islice(stream_pairs(version, there, **request, settings=cached), 36))
        join_fetch_threads()
        # Closing a stream cancels what it has not fetched yet: only samples of pairs that came are certainly kept.
        assert {pair.uid for pair in first} == {entry.uid for shard in version.shards for entry in shard.samples}
        assert far.shard_requests()
        far.asked.clear()
        again = list(islice(stream_pairs(version, there, **request, settings=cached), 36))
        join_fetch_threads()
        assert far.shard_requests() == []
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one.target_rgba, other.target_rgba)


def test_shards_of_one_name_and_different_bytes_never_meet(tmp_path: Path) -> None:
    cache = SampleCache(tmp_path, 1 << 20)
    cache.put(SHARD, ENTRY, b"1" * 1000)
    assert cache.get(replace(SHARD, sha256="cd" * 32), ENTRY) is None
    assert cache.get(SHARD, ENTRY) == b"1" * 1000


@pytest.mark.parametrize("left", [b"", b"1" * 500, b"2" + b"1" * 1003])
def test_a_file_that_is_not_whole_is_not_used(tmp_path: Path, left: bytes) -> None:
    cache = SampleCache(tmp_path, 1 << 20)
    cache.put(SHARD, ENTRY, b"1" * 1000)
    (path,) = (path for path in tmp_path.rglob("512"))
    path.write_bytes(left)
    assert cache.get(SHARD, ENTRY) is None


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    cache = SampleCache(tmp_path, 10 * 1004)
    entries = [SampleEntry(f"{n}", 512 * n, 1000) for n in range(11)]
    for age, entry in enumerate(entries[:10]):
        cache.put(SHARD, entry, bytes(1000))
        os.utime(cache._path(SHARD, entry), (age, age))
    cache.get(SHARD, entries[0])
    cache.put(SHARD, entries[10], bytes(1000))
    held = [int(entry.uid) for entry in entries if cache.get(SHARD, entry) is not None]
    assert held == [0, 3, 4, 5, 6, 7, 8, 9, 10]
    cache.put(SHARD, SampleEntry("big", 0, 20_000), bytes(20_000))
    assert in_use(tmp_path) <= cache.limit_bytes


def test_what_is_read_stays_readable_when_it_is_removed(tmp_path: Path) -> None:
    cache = SampleCache(tmp_path, 2 * 1004)
    cache.put(SHARD, ENTRY, b"1" * 1000)
    with cache._path(SHARD, ENTRY).open("rb") as stream:
        for n in range(1, 4):
            cache.put(SHARD, SampleEntry(f"{n}", 1024 * n, 1000), bytes(1000))
        assert cache.get(SHARD, ENTRY) is None
        assert stream.read(1000) == b"1" * 1000


def fill(folder: Path, process: int) -> None:
    cache = SampleCache(folder, 20_000)
    for n in range(60):
        entry = SampleEntry("x", 512 * (n % 40), 900 + n % 40)
        held = cache.get(SHARD, entry)
        assert held in (None, bytes([n % 40]) * entry.bytes), f"process {process}"
        cache.put(SHARD, entry, bytes([n % 40]) * entry.bytes)


def test_processes_share_a_folder_and_its_bound(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=fill, args=(tmp_path, n)) for n in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert in_use(tmp_path) <= 20_000
    assert not list(tmp_path.rglob(".tmp-*"))


def test_a_folder_that_cannot_be_written_to_is_named_at_once(dataset: tuple[Version, Storage], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file: expected a folder to cache samples in"):
        SampleCache(tmp_path / "file", 1000)


def test_a_full_disk_costs_nothing_but_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = SampleCache(tmp_path, 1 << 20)

    def full(_path: Path, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    cache.put(SHARD, ENTRY, bytes(1000))
    assert cache.get(SHARD, ENTRY) is None
    assert not list(tmp_path.rglob(".tmp-*"))


def test_digest_with_a_path_stays_inside_the_folder(dataset: tuple[Version, Storage]) -> None:
    """What names a folder of the cache comes from a version's file, which may come from anyone."""
    version, _ = dataset
    for path in ("/tmp/elsewhere", "../elsewhere"):
        hostile = replace(version, shards=(replace(version.shards[0], sha256=path),))
        with pytest.raises(Failure, match="sha256: expected hexadecimal digits"):
            parse_version(hostile.to_json(), where="there")
