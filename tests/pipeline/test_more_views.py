"""A larger number of views, through a worker and the shards: the same bytes as a dataset made with them at once."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from base.progress import SILENT
from pipeline.builder import BuildSettings, build
from pipeline.catalog.rows import SampleLocation, location_of
from pipeline.catalog.tables import Catalog
from pipeline.cluster import ray_for
from pipeline.work.earlier_views import copy_earlier_views
from render.earlier import NO_EARLIER_VIEWS
from shards.reader import read_shard
from shards.version import read_version
from tests.pipeline.builds import Told, files, models, storage, tiny


@pytest.fixture(scope="module", autouse=True)
def one_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("ray")
    with ray_for(tiny(folder, folder).run):
        yield


@pytest.fixture
def grown(tmp_path: Path) -> BuildSettings:
    """A dataset of two views, with the settings that ask for four."""
    folder = models(tmp_path / "models", "stool", "avocado")
    build(tiny(tmp_path / "dataset", folder), SILENT)
    return tiny(tmp_path / "dataset", folder, render={"views": 4})


def test_earlier_views_stay_and_only_others_are_made(grown: BuildSettings, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "dataset", tmp_path / "again")
    planned = build(grown, told := Told(), dry_run=True)
    assert planned.plan == "2 objects: render 2, reuse 0; rewrite 1 shard numbers"
    assert "2 of the objects to render keep their earlier views" in told.lines[-1]
    assert "made with other settings, scaled from 2 views to 4" in told.lines[-1]
    assert "another kind of device, scaled from 2 views to 4" in told.lines[-1]
    before = read_version(storage(grown)).shards
    old = {sample.uid: sample.members for sample in read_shard(storage(grown), before[0])}
    build(grown, SILENT)
    new = {sample.uid: sample.members for sample in read_shard(storage(grown), read_version(storage(grown)).shards[0])}
    for uid, members in old.items():
        assert all(new[uid][name] == members[name] for name in ("00.webp", "01.webp"))
        assert set(new[uid]) == {*members, "02.webp", "03.webp"}
    at_once = tiny(tmp_path / "calm", tmp_path / "models", render={"views": 4})
    build(at_once, SILENT)
    assert [one.views for one in Catalog(storage(grown)).attempts()] == [2] * 4, "what was kept was not made"
    assert [one.views for one in Catalog(storage(at_once)).attempts()] == [4] * 2
    names = {shard.name for shard in read_version(storage(at_once)).shards}
    assert {shard.name for shard in read_version(storage(grown)).shards} == names
    assert files(tmp_path / "calm", "shards").items() <= files(tmp_path / "dataset", "shards").items()


def test_only_sound_samples_are_extended(grown: BuildSettings, tmp_path: Path) -> None:
    store, scratch = storage(grown), tmp_path / "scratch"
    row = next(iter(Catalog(store).objects().values()))
    shard, entry = location_of(row)

    def taken(place: SampleLocation | None = (shard, entry), sha256: str = row.sha256) -> bool:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        return copy_earlier_views(store, place, sha256, grown.render, scratch) is not NO_EARLIER_VIEWS

    assert taken()
    assert not taken(None)
    assert not taken(sha256="0" * 64)
    assert not taken((replace(shard, name="shards/train-000000-000000000000.tar"), entry))
    data = bytearray(store.read(shard.name))
    data[entry.offset + 1600 : entry.offset + 2000] = b"\0" * 400
    store.write(shard.name, bytes(data))
    assert not taken()
    build(grown, SILENT)
    assert read_version(store).views == 4
