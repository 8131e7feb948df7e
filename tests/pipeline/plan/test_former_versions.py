"""What was rendered once and still lies in a shard of a former version is taken from there, and not rendered anew."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from base.progress import SILENT
from pipeline.builder import BuildSettings, build
from pipeline.catalog.rows import Attempt, ObjectRow
from pipeline.catalog.tables import OBJECTS, Catalog
from pipeline.dataset.history import restore
from pipeline.dataset.vacuum import vacuum
from pipeline.update import BuildSummary
from pipeline.work.pack import PackJob, PackResult
from pipeline.work.worker import Job, Worker
from shards.reader import read_shard
from shards.verify import verify
from shards.version import ShardEntry, read_version
from tests.pipeline.builds import EXAMPLES, Told, models, storage, tiny

NAMES = ("stool", "avocado", "burger")


pytestmark = pytest.mark.usefixtures("in_this_process")


class Packer(Worker):
    """Fetches and renders nothing."""

    def do(self, job: Job) -> Attempt | PackResult:
        assert isinstance(job, PackJob), f"expected nothing to be rendered, got {job.name}"
        return super().do(job)


@pytest.fixture
def first(tmp_path: Path) -> BuildSettings:
    """The settings of a dataset of three objects in two shards, of one version."""
    settings = tiny(tmp_path / "dataset", models(tmp_path / "models", *NAMES))
    assert build(settings, SILENT).rendered == 3
    return settings


def again(settings: BuildSettings, **sections: Any) -> BuildSettings:
    """The same dataset and objects with other settings."""
    return tiny(Path(settings.storage.root), Path(settings.objects.folder), **sections)


def smaller(settings: BuildSettings) -> BuildSettings:
    return again(settings, render={"hw": [16, 16]})


def repacked(settings: BuildSettings) -> BuildSummary:
    """A build that renders nothing, as its dry run said, after which there is nothing to do."""
    planned = build(settings, SILENT, dry_run=True)
    summary = build(settings, SILENT, make=Packer)
    assert (summary.plan, summary.rendered) == (planned.plan, 0)
    verify(storage(settings), read_version(storage(settings)), SILENT)
    assert build(settings, SILENT).idle
    return summary


def shards(settings: BuildSettings, version: int | None = None) -> tuple[ShardEntry, ...]:
    return read_version(storage(settings), version).shards


def rows(settings: BuildSettings, version: int | None = None) -> dict[str, ObjectRow]:
    return {row.title: row for row in Catalog(storage(settings)).objects(version).values()}


@pytest.mark.parametrize("few", [0, 1000])
def test_earlier_settings_once_more_render_nothing(
    first: BuildSettings, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.plan.former_versions.FEW", few)
    assert build(smaller(first), SILENT).rendered == 3
    summary = repacked(first)
    assert summary.plan == "3 objects: render 0, reuse 3 (3 of them out of former versions); rewrite 2 shard numbers"
    assert (summary.reused, shards(first, 3)) == (3, shards(first, 1))
    assert rows(first) == {title: replace(row, attempts=2) for title, row in rows(first, 1).items()}
    assert repacked(smaller(first)).reused == 3
    assert shards(first, 4) == shards(first, 2)


def test_a_rule_that_is_dropped_again_renders_nothing(first: BuildSettings) -> None:
    build(again(first, objects={"filter": {"text": ["stool"]}}), SILENT)
    assert {row.outcome for row in rows(first).values()} == {"ok", "filtered"}
    assert repacked(first).reused == 3
    assert shards(first) == shards(first, 1)
    assert rows(first) == rows(first, 1)


def test_requested_again_removed_objects_are_reused(first: BuildSettings) -> None:
    folder = Path(first.objects.folder)
    (folder / "stool.glb").unlink()
    build(first, SILENT)
    shutil.copy(EXAMPLES / "stool.glb", folder)
    shutil.copytree(first.storage.root, f"{first.storage.root}_2")
    assert repacked(first).plan.startswith("3 objects: render 0, reuse 3 (1 of them out of former versions); rewrite 1")
    assert shards(first) == shards(first, 1)

    (folder / "OBJECTS.csv").write_text("path,author\nstool.glb,Ann\n")
    elsewhere = again(
        tiny(Path(f"{first.storage.root}_2"), folder), shards={"objects_per_shard": 2, "val_fraction": 0.999}
    )
    repacked(elsewhere)
    found = {sample.uid: sample for shard in shards(elsewhere) for sample in read_shard(storage(elsewhere), shard)}
    assert found[rows(elsewhere)["stool"].uid].facts["object"]["author"] == "Ann"
    assert {shard.split for shard in shards(elsewhere)} == {"val"}


def test_object_unknown_to_restored_version_is_reused(first: BuildSettings) -> None:
    shutil.copy(EXAMPLES / "dog.glb", first.objects.folder)
    assert build(first, SILENT).rendered == 1
    restore(storage(first), 1, 60.0)
    assert "dog" not in rows(first)
    repacked(first)
    assert rows(first) == rows(first, 2)


def test_what_changed_beside_them_alone_is_rendered(first: BuildSettings) -> None:
    build(smaller(first), SILENT)
    shutil.copy(EXAMPLES / "dog.glb", Path(first.objects.folder, "burger.glb"))
    summary = build(first, SILENT)
    assert (summary.rendered, summary.reused) == (1, 2)
    verify(storage(first), read_version(storage(first)), SILENT)


def test_versions_that_are_not_kept_are_no_help(first: BuildSettings) -> None:
    before = shards(first)
    build(smaller(first), SILENT)
    vacuum(storage(first), 0.0, 60.0)
    assert build(first, SILENT).rendered == 3
    assert shards(first) == before


def test_a_version_that_cannot_be_read_is_told(first: BuildSettings) -> None:
    build(smaller(first), SILENT)
    for name in Catalog(storage(first)).unneeded_files([2], 0.0):
        storage(first).remove(name)
    assert build(first, told := Told()).rendered == 3
    assert told.lines[0].startswith("version 1 is not looked through for what was rendered: ")


def test_what_lay_in_shards_that_are_gone_is_rendered(first: BuildSettings) -> None:
    build(smaller(first), SILENT)
    gone = shards(first, 1)[0]
    storage(first).remove(gone.name)
    summary = build(first, SILENT)
    assert (summary.rendered, summary.reused) == (len(gone.samples), 3 - len(gone.samples))
    assert shards(first) == shards(first, 1)


def test_damage_in_a_former_shard_goes_into_no_new_one(first: BuildSettings) -> None:
    build(smaller(first), SILENT)
    spoilt = shards(first, 1)[0]
    data = bytearray(storage(first).read(spoilt.name))
    data[-1] ^= 1
    storage(first).write(spoilt.name, bytes(data))
    summary = build(first, told := Told())
    assert (summary.rendered, summary.reused) == (len(spoilt.samples), 3 - len(spoilt.samples))
    assert any(f"{spoilt.name}: its bytes have changed" in line for line in told.lines)
    assert shards(first) == shards(first, 1)
    verify(storage(first), read_version(storage(first)), SILENT)


def test_never_rendered_objects_need_no_search(first: BuildSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    build(smaller(first), SILENT)
    asked = list[tuple[str, int | None]]()
    parts = Catalog.parts

    def noted(catalog: Catalog, name: str, query: str, version: int | None = None) -> Any:
        asked.append((name, version))
        return parts(catalog, name, query, version)

    monkeypatch.setattr(Catalog, "parts", noted)
    build(again(first, render={"hw": [24, 24]}), SILENT, dry_run=True)
    assert (OBJECTS, 1) not in asked
    build(first, SILENT, dry_run=True)
    assert (OBJECTS, 1) in asked
