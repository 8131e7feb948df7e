"""A version for other tools: the same pixels and cameras, whole or not there, and back again."""

import fcntl
import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from base.errors import Failure, UsageError
from base.progress import SILENT
from base.storage import Storage
from geometry.camera import world_from_cam
from pipeline.builder import build
from pipeline.dataset import export_layouts
from pipeline.dataset.export import LAYOUTS, Choice, export
from pipeline.sources.renders import rendered_objects
from shards.layouts import read_views
from shards.reader import read_shard
from shards.sample import Sample
from shards.verify import verify
from shards.version import Version, read_version
from tests.pipeline.builds import Alone, Told, files, tiny
from tests.pipeline.releases import HW, VIEWS, released

NAMES = [f"object_{letter}" for letter in "abcdefg"]
RENDER = {"hw": list(HW), "views": VIEWS}


def dataset_of(root: Path, renders: Path) -> tuple[Storage, Version]:
    sections = {"render": RENDER, "shards": {"objects_per_shard": 3, "val_fraction": 0.3}}
    settings = tiny(root, renders, objects={"source": "renders", "renders": str(renders)}, **sections)
    build(settings, SILENT)
    return Storage(root), read_version(Storage(root))


@pytest.fixture(scope="module", autouse=True)
def _without_ray() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.run.Crew", Alone)
        yield


@pytest.fixture(scope="module")
def dataset(_without_ray: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Storage, Version]:
    """Seven objects in shards of three, some held out; read only."""
    folder = tmp_path_factory.mktemp("built")
    for name in NAMES:
        released(folder / "release", name)
    (folder / "release" / "OBJECTS.csv").write_text("path,licence,author\nobject_a,CC0-1.0,@anna\n")
    return dataset_of(folder / "dataset", folder / "release")


def samples(storage: Storage, version: Version) -> dict[str, Sample]:
    return {sample.uid: sample for shard in version.shards for sample in read_shard(storage, shard)}


def test_a_dataset_leaves_as_zero123_and_comes_back_the_same(dataset: tuple[Storage, Version], tmp_path: Path) -> None:
    storage, version = dataset
    out = tmp_path / "out"
    export(storage, version, Choice(), "zero123", out, SILENT)
    named = json.loads((out / "valid_paths.json").read_text())
    split = {entry.uid: shard.split for shard in version.shards for entry in shard.samples}
    assert sorted(named) == NAMES
    assert [split[uid] for uid in named] == sorted(split.values()), "the original holds out the last of the list"
    assert {path.name for path in (out / "object_a").iterdir()} == {
        f"{view:03d}.{suffix}" for view in range(VIEWS) for suffix in ("png", "npy")
    }
    again, back = dataset_of(tmp_path / "back", out)
    verify(again, back, SILENT)
    before, after = samples(storage, version), samples(again, back)
    assert before.keys() == after.keys()
    for uid, sample in before.items():
        for view in range(VIEWS):
            np.testing.assert_array_equal(after[uid].image(view), sample.image(view))
        np.testing.assert_array_equal(after[uid].extrinsics, sample.extrinsics)
        assert after[uid].members["pairs.npz"] == sample.members["pairs.npz"]
    about = after["object_a"].facts["object"]
    assert about["licence"] == "CC0-1.0"
    assert about["author"] == "@anna"
    assert about["page"] == ""


def test_nerf_has_transforms_beside_each_object(dataset: tuple[Storage, Version], tmp_path: Path) -> None:
    storage, version = dataset
    export(storage, version, Choice(uids=frozenset({"object_b"})), "nerf", tmp_path / "out", SILENT)
    told = json.loads((tmp_path / "out" / "object_b" / "transforms.json").read_text())
    sample = samples(storage, version)["object_b"]
    assert told["camera_angle_x"] == pytest.approx(2 * np.arctan(16 / 35))
    for view, frame in enumerate(told["frames"]):
        np.testing.assert_array_equal(frame["transform_matrix"][:3], world_from_cam(sample.extrinsics[view]))
    np.testing.assert_array_equal(read_views(tmp_path / "out" / "object_b").images[3], sample.image(3))
    assert not (tmp_path / "out" / "valid_paths.json").exists()


def test_hub_export_has_tars_and_card(dataset: tuple[Storage, Version], tmp_path: Path) -> None:
    storage, version = dataset
    export(storage, version, Choice(), "hf", tmp_path / "all", SILENT)
    for shard in version.shards:
        copied = (tmp_path / "all" / "data" / f"{shard.split}-{shard.number:06d}.tar").read_bytes()
        assert copied == storage.read(shard.name)
    front = yaml.safe_load((tmp_path / "all" / "README.md").read_text().split("---")[1])
    assert front["configs"][0]["data_files"] == [
        {"split": split, "path": [f"data/{split}-*.tar"]} for split in ("train", "val")
    ]
    export(storage, version, Choice(split="train", limit=2), "hf", tmp_path / "two", SILENT)
    found = []
    for path in sorted((tmp_path / "two" / "data").iterdir()):
        with tarfile.open(path) as archive:
            found += [name for name in archive.getnames() if name.endswith(".json")]
    assert len(found) == 2
    text = (tmp_path / "two" / "README.md").read_text()
    assert "# Views of 2 objects" in text
    assert "earlier ones" not in text


@pytest.mark.parametrize("layout", LAYOUTS)
def test_stopped_export_resumes(
    dataset: tuple[Storage, Version], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    storage, version = dataset
    export(storage, version, Choice(), layout, tmp_path / "whole", SILENT)

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(storage, version, Choice(), layout, tmp_path / "out", Told(on_advance=stop))
    assert not (tmp_path / "out" / "valid_paths.json").exists()
    assert not (tmp_path / "out" / "README.md").exists()
    kept = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in files(tmp_path / "out")}
    left = tmp_path / "out" / ".tmp-object_a-killed"
    left.mkdir()
    (left / "000.png").write_bytes(b"half")
    export(storage, version, Choice(), layout, tmp_path / "out", SILENT)
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    assert all((tmp_path / "out" / name).stat().st_mtime_ns == at for name, at in kept.items())


def test_what_a_folder_holds_is_not_mixed(dataset: tuple[Storage, Version], tmp_path: Path) -> None:
    storage, version = dataset
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="expected an empty folder or one of `zero123 export`"):
        export(storage, version, Choice(), "zero123", tmp_path / "foreign", SILENT)
    assert files(tmp_path / "foreign") == {"notes.txt": b"mine"}
    export(storage, version, Choice(limit=1), "zero123", tmp_path / "out", SILENT)
    for layout, choice in (("zero123", Choice(limit=2)), ("nerf", Choice(limit=1))):
        with pytest.raises(UsageError, match=r"got 1 objects of version 1 as zero123"):
            export(storage, version, choice, layout, tmp_path / "out", SILENT)
    with (tmp_path / "out" / "export.json").open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(Failure, match="expected no other export at work there"):
            export(storage, version, Choice(limit=1), "zero123", tmp_path / "out", SILENT)


def test_a_choice_of_nothing_is_a_usage_error(dataset: tuple[Storage, Version], tmp_path: Path) -> None:
    storage, version = dataset
    held_out = next(entry.uid for shard in version.split("val") for entry in shard.samples)
    for choice, words in (
        (Choice(uids=frozenset({"object_a", "nobody"})), "expected objects of version 1, got 'nobody'"),
        (Choice(uids=frozenset({held_out}), split="train"), "found no matching object"),
    ):
        with pytest.raises(UsageError, match=words):
            export(storage, version, choice, "nerf", tmp_path / "out", SILENT)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_damaged_sample_is_named_and_never_exported(
    dataset: tuple[Storage, Version], tmp_path: Path, layout: str
) -> None:
    storage, version = dataset
    shutil.copytree(Path(storage.root), tmp_path / "dataset")
    shard = version.shards[0]
    path = tmp_path / "dataset" / shard.name
    data = bytearray(path.read_bytes())
    with tarfile.open(fileobj=io.BytesIO(bytes(data))) as archive:
        data[archive.getmember(f"{shard.samples[0].uid}.03.webp").offset_data + 40] ^= 255
        data[archive.getmember(f"{shard.samples[0].uid}.03.webp").offset_data] ^= 255
    path.write_bytes(data)
    with pytest.raises(Failure, match=shard.samples[0].uid if layout != "hf" else "expected sha256"):
        export(Storage(tmp_path / "dataset"), version, Choice(), layout, tmp_path / "out", SILENT)
    assert not (tmp_path / "out" / shard.samples[0].uid).exists()
    assert not list((tmp_path / "out").rglob(".tmp-*"))


def test_a_full_disk_is_one_sentence(
    dataset: tuple[Storage, Version], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(export_layouts, "flush_to_disk", full)
    with pytest.raises(Failure, match="the disk is full; free some space and run the same command again"):
        export(*dataset, Choice(), "zero123", tmp_path / "out", SILENT)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["export.json"]


def test_passes_come_along(tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.new("RGBA", HW).save(picture, "WEBP", lossless=True)
    depth = io.BytesIO()
    np.save(depth, np.ones(HW, np.float32))
    camera = io.BytesIO()
    np.save(camera, np.eye(4)[None, :3])
    members = {"00.webp": picture, "00.depth.npy": depth, "extrinsics.npy": camera}
    facts = {"schema": 1, "uid": "x", "render": {"passes": "depth"}}
    sample = Sample(
        "s", "x", {"json": json.dumps(facts).encode(), **{name: s.getvalue() for name, s in members.items()}}
    )
    folder = tmp_path / "views" / "x"
    folder.mkdir(parents=True)
    export_layouts.write_zero123(sample, folder)
    assert (folder / "000.depth.npy").read_bytes() == depth.getvalue()
    assert len(read_views(folder).images) == 1
    assert rendered_objects(folder.parent, SILENT)
