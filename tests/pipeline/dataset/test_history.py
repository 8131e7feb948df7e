"""The versions of a dataset: listed, compared, restored, vacuumed, verified; and failures tried again."""

import os
import time
from pathlib import Path

import pytest
from PIL import Image

from base.errors import Failure
from base.progress import SILENT
from base.storage import Storage
from pipeline.builder import BuildSettings, build
from pipeline.catalog.lease import Lease
from pipeline.catalog.tables import Catalog
from pipeline.dataset.card import ATTRIBUTION, CARD, PICTURE
from pipeline.dataset.history import check_against_catalogue, compare_versions, list_versions, restore
from pipeline.dataset.status import read_status
from pipeline.dataset.vacuum import TEMPORARY_AGE_S, vacuum
from shards.verify import verify
from shards.version import read_version, version_name
from tests.pipeline.builds import files, models, storage, tiny

pytestmark = pytest.mark.usefixtures("without_ray")

LONG_S = 1e9


@pytest.fixture
def dataset(tmp_path: Path) -> BuildSettings:
    """Two versions: the stool and the avocado, then the stool alone, whose licence is known by now."""
    folder = models(tmp_path / "models", "stool", "avocado")
    settings = tiny(tmp_path / "dataset", folder)
    build(settings, SILENT)
    (folder / "avocado.glb").unlink()
    (folder / "OBJECTS.csv").write_text("path,licence\nstool.glb,CC0-1.0\n")
    build(settings, SILENT)
    return settings


def test_versions_are_listed_compared_and_restored(dataset: BuildSettings) -> None:
    store = storage(dataset)
    first, second = list_versions(store)
    assert first.number == 1
    assert first.objects == {"train": 2, "val": 0}
    assert first.shards == 1
    assert second.number == 2
    assert second.objects == {"train": 1, "val": 0}
    assert second.shards == 1
    assert first.bytes == read_version(store, 1).shards[0].bytes
    assert first.at <= second.at <= time.time()

    found = compare_versions(store, 1, 2)
    assert [uid[:7] for uid in found.removed] == ["avocado"]
    assert found.added == ()
    assert found.rendered == ()
    assert [uid[:5] for uid in found.described] == ["stool"]
    assert found.shards_removed == (read_version(store, 1).shards[0].name,)
    assert found.bytes_added == read_version(store, 2).shards[0].bytes

    made = restore(store, 1, 60.0)
    assert (made.number, made.shards) == (3, read_version(store, 1).shards)
    assert compare_versions(store, 1, 3).is_empty
    verify(store, made, SILENT)
    check_against_catalogue(store, made)
    again = build(dataset, SILENT)
    assert (again.version, again.rendered) == (4, 0)
    assert read_version(store).shards == read_version(store, 2).shards


def test_a_version_that_is_not_kept_is_named(dataset: BuildSettings) -> None:
    for act in (lambda: compare_versions(storage(dataset), 1, 9), lambda: restore(storage(dataset), 9, 60.0)):
        with pytest.raises(Failure, match="expected a version 9, got only: 1, 2"):
            act()
    shard = read_version(storage(dataset), 1).shards[0].name
    storage(dataset).remove(shard)
    with pytest.raises(Failure, match=shard):
        restore(storage(dataset), 1, 60.0)


def test_vacuum_removes_what_no_kept_version_needs(dataset: BuildSettings, tmp_path: Path) -> None:
    store, root = storage(dataset), tmp_path / "dataset"
    first = files(root)
    assert vacuum(store, LONG_S, 60.0).files == ()
    before = files(root)
    assert first.items() <= before.items()
    left, fresh = root / "shards" / ".tmp-old", root / "shards" / ".tmp-new"
    for path in (left, fresh):
        path.write_bytes(b"half")
    os.utime(left, (time.time() - TEMPORARY_AGE_S - 60.0,) * 2)

    planned = vacuum(store, 0.0, 60.0, dry_run=True)
    assert {name: data for name, data in files(root).items() if ".tmp-" not in name} == before
    done = vacuum(store, 0.0, 60.0)
    assert done == planned
    assert done.versions == (1,)
    assert set(before) - set(files(root)) == set(done.files) - {"shards/.tmp-old"}
    assert not left.exists()
    assert fresh.exists()
    assert {version_name(1), read_version(store).shards[0].name} & set(done.files) == {version_name(1)}

    vacuum(store, 0.0, 60.0)
    assert vacuum(store, 0.0, 60.0).files == ()
    verify(store, read_version(store), SILENT)
    assert [one.number for one in list_versions(store)] == [2]
    assert build(dataset, SILENT).idle
    with pytest.raises(Failure, match="expected a version 1, got only: 2"):
        restore(store, 1, 60.0)
    with pytest.raises(Failure, match="expected a version before the newest, got 2"):
        restore(store, 2, 60.0)


def test_nothing_is_changed_while_someone_builds(dataset: BuildSettings) -> None:
    store = storage(dataset)
    with Lease(store, 60.0):
        for act in (lambda: vacuum(store, 0.0, 60.0), lambda: restore(store, 1, 60.0)):
            with pytest.raises(Failure, match=f"process {os.getpid()}"):
                act()
        live = read_status(store).live
        assert live is not None
        assert live.holder.pid == os.getpid()
    assert read_status(store).live is None


def test_every_damage_is_named(dataset: BuildSettings) -> None:
    store = storage(dataset)
    restore(store, 1, 60.0)
    version = read_version(store)
    text = store.read(version_name(version.number))
    store.write(version_name(version.number), text.replace(b'"views":2', b'"views":3'))
    with pytest.raises(Failure, match=r"versions/3\.json: expected the content of the catalogue"):
        check_against_catalogue(store, read_version(store))
    shard = version.shards[0]
    data = bytearray(store.read(shard.name))
    data[-1] ^= 1
    store.write(shard.name, bytes(data))
    with pytest.raises(Failure, match=f"{shard.name}: expected sha256"):
        verify(store, version, SILENT)
    for entry in shard.samples:
        data[entry.offset] ^= 1
    store.write(shard.name, bytes(data))
    with pytest.raises(Failure) as told:
        verify(store, version, SILENT)
    assert [entry.uid in line for entry, line in zip(shard.samples, str(told.value).splitlines(), strict=True)] == [
        True
    ] * len(shard.samples)


def test_what_failed_is_tried_again_when_asked(tmp_path: Path) -> None:
    folder = models(tmp_path / "models", "stool", "avocado")
    hurried = tiny(tmp_path / "dataset", folder, render={"child": {"import_timeout_s": 0.001}})
    with pytest.raises(Failure, match="timeout"):
        build(hurried, SILENT)
    patient = tiny(tmp_path / "dataset", folder)
    with pytest.raises(Failure, match="timeout"):
        build(patient, SILENT)
    with pytest.raises(Failure, match="timeout"):
        build(patient, SILENT, retry=frozenset({"crash"}))
    assert build(patient, SILENT, dry_run=True, retry=frozenset({"timeout"})).plan.startswith(
        "2 objects: render 2, reuse 0"
    )
    summary = build(patient, SILENT, retry=frozenset({"timeout"}))
    assert (summary.rendered, summary.outcomes) == (2, {"ok": 2})
    assert {row.attempts for row in Catalog(Storage(patient.storage.root)).objects().values()} == {3}
    assert read_status(storage(patient)).outcomes == {"ok": 2}


def test_the_card_is_that_of_the_newest_version(dataset: BuildSettings, tmp_path: Path) -> None:
    store, root = storage(dataset), tmp_path / "dataset"
    assert store.read(CARD).startswith(b"---\nversion: 2\n")
    assert store.read(ATTRIBUTION).decode().splitlines()[1:] == ["stool_f6ffbbf15997c09d,stool,,CC0-1.0,,folder,,train"]
    with Image.open(root / PICTURE) as picture:
        assert picture.height >= 128
    before = files(root)
    (root / CARD).unlink()
    assert build(dataset, SILENT).idle
    assert files(root) == before
    restore(store, 1, 60.0)
    assert store.read(CARD).startswith(b"---\nversion: 3\n")
    assert len(store.read(ATTRIBUTION).splitlines()) == 3
