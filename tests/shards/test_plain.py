"""webdataset writes the bytes that we write, reads the samples that we read, and takes part in `verify`."""

import gc
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import webdataset

from base.errors import Failure, UsageError
from base.progress import SILENT
from base.storage import Storage
from shards.plain import plain_dataset, plain_members
from shards.reader import read_shard
from shards.tar import TarWriter
from shards.verify import verify
from shards.version import SampleEntry, Version

pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # webdataset leaves its files open
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(autouse=True)
def left_open() -> Iterator[None]:
    yield
    gc.collect()


def test_its_writer_makes_our_bytes(dataset: tuple[Version, Storage]) -> None:
    version, storage = dataset
    for shard in version.shards:
        stream = io.BytesIO()
        with webdataset.TarWriter(stream, user="", group="", mode=0o444, mtime=0, encoder=False) as writer:
            for sample in read_shard(storage, shard):
                writer.write({"__key__": sample.uid, **sample.members})
        assert stream.getvalue() == storage.read(shard.name)


def test_it_reads_the_samples_of_a_split(dataset: tuple[Version, Storage]) -> None:
    version, storage = dataset
    ours = [sample for shard in version.shards for sample in read_shard(storage, shard)]
    theirs = list(plain_dataset(version, storage, "train"))
    assert [sample["__key__"] for sample in theirs] == [sample.uid for sample in ours]
    for sample, plain in zip(ours, theirs, strict=True):
        assert {suffix: data for suffix, data in plain.items() if not suffix.startswith("__")} == sample.members
    with pytest.raises(UsageError, match="expected a local folder, got memory://dataset"):
        plain_dataset(version, Storage("memory://dataset"), "train")


@pytest.mark.parametrize("name", ["{a,b}", "{0..3}", "a::b", "a b", "a%20b", "$a", "${a}", "[a]*", "~", "a;b"])
def test_a_root_with_signs_of_patterns_is_read_and_verified(
    dataset: tuple[Version, Storage], tmp_path: Path, name: str
) -> None:
    """webdataset expands braces, `::` and variables in a text, but not in a list of texts."""
    version, storage = dataset
    there = copied(version, storage, tmp_path / name)
    read = [sample["__key__"] for sample in plain_dataset(version, there, "train")]
    assert read == [entry.uid for shard in version.split("train") for entry in shard.samples]
    verify(there, version, SILENT)


@pytest.mark.parametrize("name", ["a#b", "a?b"])
def test_a_root_that_its_reader_would_cut_short_is_refused(
    dataset: tuple[Version, Storage], tmp_path: Path, name: str
) -> None:
    version, storage = dataset
    there = copied(version, storage, tmp_path / name)
    with pytest.raises(
        UsageError, match=r"expected a folder without \? and # in its path, got .*/a[#?]b: webdataset cuts it"
    ):
        plain_dataset(version, there, "train")
    verify(there, version, SILENT)


def copied(version: Version, storage: Storage, root: Path) -> Storage:
    there = Storage(root)
    for shard in version.shards:
        there.write(shard.name, storage.read(shard.name))
    return there


def rewritten(version: Version, storage: Storage, there: Storage, extra: dict[str, bytes], *, listed: bool) -> Version:
    """A copy of the first shard with more members after its last sample, inside its range or behind it."""
    shard, stream = version.shards[0], io.BytesIO()
    writer, entries = TarWriter(stream), list[SampleEntry]()
    for sample in read_shard(storage, shard):
        offset, length = writer.add({f"{sample.uid}.{suffix}": data for suffix, data in sample.members.items()})
        entries.append(SampleEntry(sample.uid, offset, length))
    _, more = writer.add({f"{entries[-1].uid}.{suffix}": data for suffix, data in extra.items()})
    writer.close()
    if listed:
        entries[-1] = entries[-1]._replace(bytes=entries[-1].bytes + more)
    there.write(shard.name, stream.getvalue())
    facts = {"bytes": len(stream.getvalue()), "sha256": there.sha256(shard.name), "samples": tuple(entries)}
    return replace(version, shards=(replace(shard, **facts),))


def test_verify_refuses_what_a_plain_reader_would_not_see(dataset: tuple[Version, Storage], tmp_path: Path) -> None:
    there = Storage(tmp_path)
    version = rewritten(*dataset, there, {"__facts__": b"{}"}, listed=True)
    with pytest.raises(Failure, match="object-0-002: expected the members that webdataset reads, got others"):
        verify(there, version, SILENT)


def test_verify_refuses_what_only_a_plain_reader_would_see(dataset: tuple[Version, Storage], tmp_path: Path) -> None:
    there = Storage(tmp_path)
    version = rewritten(*dataset, there, {"txt": b"more"}, listed=False)
    assert "txt" in plain_members(there.read(version.shards[0].name))[-1][1]
    with pytest.raises(Failure, match="expected the samples of the version and nothing else, got more"):
        verify(there, version, SILENT)
