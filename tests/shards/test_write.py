"""What stands in a shard, for us and for every other reader of WebDataset tars."""

import gc
import io
import itertools
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from base.errors import Failure
from base.storage import Storage
from geometry.relative import pose_vector, relative_motion
from shards.arrays import npy_bytes
from shards.image import encode_rgba
from shards.passes import decode_pass
from shards.reader import read_shard
from shards.sample import members_from_views, replace_object_facts
from shards.stream import stream_pairs
from shards.tar import TarWriter, member_header
from shards.version import SCHEMA, Version
from shards.write import write_shard
from tests.shards.datasets import HW, VIEWS, make_version, make_views


def test_same_samples_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = Storage(tmp_path / "a"), Storage(tmp_path / "b")
    one = make_version(first, tmp_path / "views-a", [2])
    two = make_version(second, tmp_path / "views-b", [2])
    assert one == two
    assert first.read(one.shards[0].name) == second.read(two.shards[0].name)
    assert first.names("shards") == [one.shards[0].name]


def test_nothing_in_a_tar_depends_on_time_or_machine(dataset: tuple[Version, Storage]) -> None:
    version, storage = dataset
    with tarfile.open(fileobj=io.BytesIO(storage.read(version.shards[0].name))) as archive:
        infos = archive.getmembers()
    assert {(info.mtime, info.uid, info.gid, info.uname, info.gname, info.mode) for info in infos} == {
        (0, 0, 0, "", "", 0o444)
    }
    assert [info.name for info in infos] == sorted(info.name for info in infos)


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=100),
    st.integers(0, 8**11 - 1) | st.sampled_from([0, 1, 511, 512, 8**11 - 1]),
)
def test_headers_are_those_of_tarfile(name: str, size: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o444, 0
    if len(name.encode()) > 100:
        with pytest.raises(ValueError, match="expected a name of 100 bytes"):
            member_header(name, size)
    else:
        assert member_header(name, size) == info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")


def test_archives_are_those_of_tarfile() -> None:
    samples = [{f"{uid}.{suffix}": bytes(size) for suffix, size in (("b", 512), ("a", 3), ("c", 0))} for uid in "xy"]
    ours, theirs = io.BytesIO(), io.BytesIO()
    writer = TarWriter(ours)
    places = [writer.add(sample) for sample in samples]
    writer.close()
    with tarfile.open(fileobj=theirs, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in sorted({**samples[0], **samples[1]}.items()):
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(data), 0o444, 0
            archive.addfile(info, io.BytesIO(data))
    assert ours.getvalue() == theirs.getvalue()
    assert places == [(0, 2560), (2560, 2560)]


def test_what_was_rendered_is_what_is_read(tmp_path: Path, storage: Storage) -> None:
    folder = make_views(tmp_path / "views", "van")
    shard = write_shard(storage, "train", 0, [("van", members_from_views(folder, {"uid": "van", "title": "Van"}))])
    (sample,) = read_shard(storage, shard)
    sample.check(views=VIEWS, hw=HW)
    assert np.array_equal(sample.extrinsics, np.load(folder / "extrinsics.npy"))
    assert sample.facts["object"] == {"uid": "van", "title": "Van"}
    for view in range(VIEWS):
        assert np.array_equal(sample.image(view), np.asarray(Image.open(folder / f"{view:02d}.webp")))
    pairs = sample.pairs
    assert len(pairs.source) == VIEWS * (VIEWS - 1)
    for source, target in [(0, 1), (5, 2), (11, 10)]:
        row = pairs.find_row(source, target)
        rotation, translation = relative_motion(sample.extrinsics[source], sample.extrinsics[target])
        assert (pairs.source[row], pairs.target[row]) == (source, target)
        assert np.array_equal(pairs.R[row], rotation)
        assert np.array_equal(pairs.T[row], translation)
        assert np.array_equal(pairs.pose[row], pose_vector(sample.extrinsics[source], sample.extrinsics[target]))


def test_pairs_are_made_of_good_views_only_and_passes_come_along(tmp_path: Path, storage: Storage) -> None:
    folder = make_views(tmp_path / "views", "van")
    checks = [{"bad": "blank" if view in (0, 7) else ""} for view in range(VIEWS)]
    (folder / "views.json").write_text(json.dumps({"views": checks, "passes": "depth albedo mask"}))
    rng = np.random.default_rng(0)
    depth = rng.uniform(0, 2, (VIEWS, *HW)).astype(np.float32)
    albedo = rng.integers(0, 256, (VIEWS, *HW, 3), np.uint8)
    for view in range(VIEWS):
        np.save(folder / f"{view:02d}.depth.npy", depth[view])
        Image.fromarray(albedo[view]).save(folder / f"{view:02d}.albedo.webp", lossless=True)
        Image.fromarray(albedo[view, ..., 0]).save(folder / f"{view:02d}.mask.png")
    shard = write_shard(storage, "train", 0, [("van", members_from_views(folder, {"uid": "van"}))])
    (sample,) = read_shard(storage, shard)
    sample.check(views=VIEWS, hw=HW)
    assert sample.good_views == [1, 2, 3, 4, 5, 6, 8, 9, 10, 11]
    assert len(sample.pairs.source) == 90
    assert {*sample.pairs.source, *sample.pairs.target} == set(sample.good_views)
    assert sample.pairs.find_row(0, 1) is None
    for view in range(VIEWS):
        assert np.array_equal(sample.read_pass("depth", view), depth[view])
        assert np.array_equal(sample.read_pass("albedo", view), albedo[view])
        assert np.array_equal(sample.read_pass("mask", view), albedo[view, ..., 0])
    with pytest.raises(Failure, match="expected pass 'normal_world', got depth, albedo, mask"):
        sample.read_pass("normal_world", 0)
    version = Version(SCHEMA, 1, 0, "0" * 16, VIEWS, HW, (shard,))
    drawn = list(
        itertools.islice(stream_pairs(version, storage, split="train", seed=0, position=0, pairs_per_visit=5), 50)
    )
    assert {pair.source for pair in drawn} | {pair.target for pair in drawn} == set(sample.good_views)
    with pytest.raises(Failure, match=r"van: expected at least two good views of \[0, 7, 8\], got \(8,\)"):
        next(stream_pairs(version, storage, split="train", seed=0, position=0, pairs_per_visit=5, views=(0, 7, 8)))


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("depth", npy_bytes(np.zeros(HW)), "expected float32"),
        ("depth", npy_bytes(np.zeros((*HW, 1), np.float32)), "expected float32 of shape 16×16"),
        ("normal_world", npy_bytes(np.zeros(HW, np.float16)), "expected float16 of shape 16×16×3"),
        ("albedo", encode_rgba(np.full((*HW, 4), 9, np.uint8)), "expected RGB of 16×16, got RGBA"),
        ("mask", b"\x89PNG", "expected a PNG image"),
        ("mask", encode_rgba(np.full((*HW, 4), 9, np.uint8)), "expected a PNG image"),
    ],
)
def test_a_pass_that_is_something_else_is_refused(name: str, data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        decode_pass(name, data, HW)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset leaves its files open
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_plain_webdataset_opens_the_shards(dataset: tuple[Version, Storage]) -> None:
    import webdataset as wds

    version, storage = dataset
    urls = [str(storage.local_path(shard.name)) for shard in version.shards]
    samples = list(wds.WebDataset(urls, shardshuffle=False).decode("pil"))
    gc.collect()
    assert [sample["__key__"] for sample in samples] == [
        entry.uid for shard in version.shards for entry in shard.samples
    ]
    for sample in samples:
        assert sample["json"]["uid"] == sample["__key__"]
        assert sample["extrinsics.npy"].shape == (VIEWS, 3, 4)
        assert sample["pairs.npz"]["R"].shape == (VIEWS * (VIEWS - 1), 3, 3)
        assert all(sample[f"{view:02d}.webp"].size == HW[::-1] for view in range(VIEWS))


def test_every_json_has_the_same_keys_and_types(tmp_path: Path, storage: Storage) -> None:
    one = members_from_views(make_views(tmp_path / "a", "a"), {"uid": "a", "title": "A"})
    two = members_from_views(make_views(tmp_path / "b", "b"), {"uid": "b", "title": 7})
    with pytest.raises(Failure, match=r"train-000003: b\.json: expected the keys and types"):
        write_shard(storage, "train", 3, [("a", one), ("b", two)])
    for facts, problem in [({"title": None}, "null"), ({"tags": []}, "empty list"), ({"more": {}}, "empty mapping")]:
        with pytest.raises(Failure, match=problem):
            write_shard(storage, "train", 3, [("a", replace_object_facts(one, {"uid": "a", **facts}))])
    assert storage.names("shards") == []


def test_samples_out_of_order_are_refused(tmp_path: Path, storage: Storage) -> None:
    members = members_from_views(make_views(tmp_path / "a", "a"), {"uid": "a"})
    with pytest.raises(Failure, match="ascending"):
        write_shard(storage, "train", 0, [("b", members), ("a", members)])
    with pytest.raises(Failure, match="expected uids"):
        write_shard(storage, "train", 0, [("a.b", members)])


def test_facts_can_be_corrected_without_rendering(tmp_path: Path) -> None:
    members = members_from_views(make_views(tmp_path / "a", "a"), {"uid": "a", "licence": "unknown"})
    corrected = replace_object_facts(members, {"uid": "a", "licence": "CC0-1.0"})
    assert json.loads(corrected["json"])["object"]["licence"] == "CC0-1.0"
    assert {name for name in members if members[name] != corrected[name]} == {"json"}


def test_an_unfinished_folder_is_named(tmp_path: Path) -> None:
    folder = make_views(tmp_path / "van-0123", "van")
    (folder / "07.webp").unlink()
    with pytest.raises(Failure, match=r"van-0123: expected a folder of rendered views.*07\.webp"):
        members_from_views(folder, {"uid": "van"})
