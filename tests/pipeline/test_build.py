"""Real builds on a real Ray with real renders: each does what is not done yet, and no more."""

import gzip
import json
import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from base.errors import Failure, UsageError
from base.progress import SILENT
from base.storage import Storage
from pipeline.builder import BuildSettings, build, list_requested_objects
from pipeline.catalog.lease import Lease
from pipeline.catalog.rows import ObjectRow
from pipeline.catalog.tables import Catalog
from pipeline.cluster import Crew, ray_for
from pipeline.sources.folder import model_sha256
from pipeline.work.render_stage import RenderStage
from pipeline.work.staging import FOLDER
from pipeline.work.worker import ItemJob, WorkerSpec
from shards.reader import read_shard
from shards.verify import verify
from shards.version import read_version
from tests.pipeline.builds import EXAMPLES, Told, files, models, storage, tiny
from tests.pipeline.hub import hub

AGAIN = "its objects are rendered again"


@pytest.fixture(scope="module", autouse=True)
def one_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("ray")
    with ray_for(tiny(folder, folder).run):
        yield


def rows_by_title(settings: BuildSettings) -> dict[str, ObjectRow]:
    return {row.title: row for row in Catalog(storage(settings)).objects().values()}


def outcomes(settings: BuildSettings) -> dict[str, str]:
    return {title: row.outcome for title, row in rows_by_title(settings).items()}


def titles(settings: BuildSettings, shard: int) -> list[str]:
    entry = read_version(storage(settings)).shards[shard]
    return [sample.facts["object"]["title"] for sample in read_shard(storage(settings), entry)]


def test_a_dataset_through_its_life(tmp_path: Path) -> None:
    folder = models(tmp_path / "models", "stool", "avocado", "burger")
    (folder / "OBJECTS.csv").write_text("path,licence,author\nstool.glb,CC0-1.0,Poly Haven\n")
    settings = tiny(tmp_path / "dataset", folder)
    root = tmp_path / "dataset"

    planned = build(settings, told := Told(), dry_run=True)
    assert planned.plan == "3 objects: render 3, reuse 0; rewrite 2 shard numbers"
    assert planned.plan in told.lines[-1]
    assert not root.exists()

    first = build(settings, SILENT)
    assert (first.version, first.rendered, first.outcomes) == (1, 3, {"ok": 3})
    assert not (root / FOLDER).exists()
    assert not (root / "lease.json").exists()
    version = read_version(storage(settings))
    verify(storage(settings), version, SILENT)
    assert reported(root, "3 of 3 objects ended well", planned.plan, "Views of stool", "All settings") == 1
    assert (version.views, version.hw, version.samples("train")) == (2, (32, 32), 3)
    assert "hw:\n  - 32\n  - 32\n" in (root / "README.md").read_text()

    before = files(root)
    second = build(settings, told := Told())
    assert (second.idle, second.rendered, second.reused) == (True, 0, 3)
    assert files(root) == before
    assert told.lines[0] == "nothing to do: version 1 is up to date (3 ok)"

    shutil.copy(EXAMPLES / "dog.glb", folder / "burger.glb")
    shutil.copy(EXAMPLES / "stool.glb", folder / "zz_copy.glb")
    (folder / "broken.glb").write_text("this is not a model")
    third = build(settings, told := Told())
    assert (third.version, third.rendered, third.reused) == (2, 1, 2)
    assert (third.outcomes["ok"], reported(root, "1 of 2 objects ended well")) == (3, 2)
    assert outcomes(settings)["broken"] not in ("ok", "pending")
    assert outcomes(settings)["zz copy"] == "duplicate" or outcomes(settings)["stool"] == "duplicate"
    assert all(part in "\n".join(told.lines) for part in ("broken", "the mean of the newest 3 with these settings"))
    assert {name: data for name, data in files(root, "shards").items() if name in before} == files_of(before, "shards/")
    assert build(settings, SILENT).idle

    (folder / "avocado.glb").unlink()
    assert build(settings, SILENT).rendered == 0
    assert outcomes(settings)["avocado"] == "removed"
    assert read_version(storage(settings)).samples("train") == 2
    assert read_version(storage(settings), 1) == version
    verify(storage(settings), version, SILENT)

    (folder / "OBJECTS.csv").write_text("path,licence,author\nstool.glb,CC0-1.0,Somebody else\n")
    fifth = build(settings, SILENT)
    assert (fifth.rendered, len(fifth.shards_written)) == (0, 1)
    assert rows_by_title(settings)["stool"].author == "Somebody else"

    sixth = build(tiny(root, folder, render={"samples": 2}), SILENT)
    assert sixth.rendered == 2

    rows = rows_by_title(settings)
    last = Catalog(storage(settings)).attempts([rows["stool"].uid])[-1]
    assert last.seconds["sample"] > 0
    assert last.peak_mb > 50
    assert rows["broken"].reason != ""


def reported(root: Path, *told: str) -> int:
    """How many reports there are, of which the newest says all that is `told`."""
    page = (root / "report.html").read_text()
    assert [sentence for sentence in told if sentence not in page] == []
    return len(list((root / "reports").glob("*.html")))


def files_of(before: dict[str, bytes], prefix: str) -> dict[str, bytes]:
    return {name: data for name, data in before.items() if name.startswith(prefix)}


def test_a_cut_or_lost_shard_is_made_again_by_the_same_command(tmp_path: Path) -> None:
    settings = tiny(tmp_path / "dataset", models(tmp_path / "models", "stool", "avocado", "burger"))
    build(settings, SILENT)
    whole = files(tmp_path / "dataset", "shards")
    cut, kept = (tmp_path / "dataset" / name for name in sorted(whole))
    cut.write_bytes(cut.read_bytes()[:1000])
    planned = build(settings, told := Told(), dry_run=True)
    assert (planned.plan, cut.stat().st_size) == ("3 objects: render 2, reuse 1; rewrite 1 shard numbers", 1000)
    assert told.lines[0] == f"{cut}: expected {len(whole[f'shards/{cut.name}'])} bytes, got 1000; {AGAIN}"
    assert build(settings, SILENT).rendered == 2
    assert files(tmp_path / "dataset", "shards") == whole
    kept.unlink()
    assert build(settings, told := Told()).rendered == 1
    assert told.lines[0].startswith(f"{kept}: expected ")
    assert told.lines[0].endswith(f" bytes, got nothing; {AGAIN}")
    assert files(tmp_path / "dataset", "shards") == whole
    assert build(settings, SILENT).idle


def test_a_version_file_lost_in_a_crash_is_derived_again(tmp_path: Path) -> None:
    settings = tiny(tmp_path / "dataset", models(tmp_path / "models", "stool"))
    build(settings, SILENT)
    path = tmp_path / "dataset" / "versions" / "1.json"
    written = path.read_bytes()
    path.unlink()
    assert build(settings, SILENT).idle
    assert path.read_bytes() == written


def test_a_second_builder_is_refused_before_it_renders(tmp_path: Path) -> None:
    settings = tiny(tmp_path / "dataset", models(tmp_path / "models", "stool"))
    with Lease(storage(settings), 60.0), pytest.raises(Failure, match=f"process {os.getpid()}"):
        build(settings, SILENT)
    assert set(files(tmp_path / "dataset")) == set()


def test_a_build_without_one_success_fails_and_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "broken.glb").write_text("this is not a model")
    settings = tiny(tmp_path / "dataset", folder)
    for _ in range(2):
        with pytest.raises(Failure, match=r"got nothing of 1:\n  broken_[0-9a-f]{16}: \w+: "):
            build(settings, SILENT)


def test_a_lost_actor_gives_its_object_back(tmp_path: Path) -> None:
    import ray

    settings = tiny(tmp_path / "dataset", models(tmp_path / "models", "stool", "avocado"))
    spec = WorkerSpec(
        "run",
        str(tmp_path / "dataset"),
        RenderStage("folder", settings.render, 0),
        settings.objects.fetch,
        settings.objects.objaverse,
        "",
    )
    ended, killed = [], False
    with Crew(settings.run, spec) as crew:
        for item in list_requested_objects(settings.objects, SILENT):
            crew.submit(ItemJob(item))
        for done in crew.results():
            if not killed:
                ray.kill(crew._handles[0].actor, no_restart=False)
                killed = True
            if done is not None:
                ended.append((done.job.item.title, done.answer.outcome))  # type: ignore[union-attr]
    assert sorted(ended) == [("avocado", "ok"), ("stool", "ok")]


def test_what_is_no_folder_of_models_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("nothing here")
    for folder, problem in [(tmp_path / "none", "no folder"), (tmp_path / "empty", "got 1 other files")]:
        with pytest.raises(UsageError, match=problem):
            build(tiny(tmp_path / "dataset", folder), SILENT)
    bad = models(tmp_path / "bad", "stool")
    (bad / "OBJECTS.csv").write_text("name,licence\nstool.glb,CC0\n")
    with pytest.raises(UsageError, match=r"OBJECTS\.csv: expected a column `path`"):
        build(tiny(tmp_path / "dataset", bad), SILENT)


def test_gpus_that_no_worker_would_be_given_are_a_usage_error(tmp_path: Path) -> None:
    """Nobody's Ray says which GPU is whose then, and all workers would take the first."""
    settings = tiny(tmp_path / "dataset", tmp_path, render={"device": "OPTIX"})
    with pytest.raises(
        UsageError, match=r"run\.gpus_per_worker: expected more than 0 with render\.device OPTIX, got 0"
    ):
        build(settings, SILENT)


def test_an_output_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    settings = tiny(tmp_path / "file" / "dataset", models(tmp_path / "models", "stool"))
    with pytest.raises(Failure, match=r"could not .*file/dataset"):
        build(settings, SILENT)


def test_a_damaged_shard_is_named_when_it_must_be_packed_anew(tmp_path: Path) -> None:
    folder = models(tmp_path / "models", "stool", "avocado")
    settings = tiny(tmp_path / "dataset", folder)
    build(settings, SILENT)
    shard = read_version(storage(settings)).shards[0]
    Storage(tmp_path / "dataset").write(shard.name, bytes(shard.bytes))
    (folder / "avocado.glb").unlink()
    with pytest.raises(Failure, match=shard.name):
        build(settings, SILENT)


def test_objaverse_is_fetched_rendered_and_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uids, root = ["0" * 32, "f" * 32], "/datasets/allenai/objaverse/resolve/main"
    paths = {uid: f"glbs/000-000/{uid}.glb" for uid in uids}
    notes = {uids[0]: {"name": "A stool", "license": "by", "user": {"displayName": "Ann"}}}
    with hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.setenv("HF_TOKEN", "secret")
        server.files[f"{root}/object-paths.json.gz"] = gzip.compress(json.dumps(paths).encode())
        server.files[f"{root}/metadata/000-000.json.gz"] = gzip.compress(json.dumps(notes).encode())
        server.files[f"{root}/{paths[uids[0]]}"] = (EXAMPLES / "stool.glb").read_bytes()
        from_hub = {"source": "objaverse", "objaverse": {"cache": str(tmp_path / "cache")}}
        settings = tiny(tmp_path / "dataset", tmp_path, objects=from_hub)
        assert build(settings, SILENT).outcomes == {"ok": 1, "missing": 1}
        asked = dict(server.asked)
        assert build(settings, SILENT).idle
        assert dict(server.asked) == asked, "what is known is not asked for again"
        assert server.tokens[f"{root}/{paths[uids[0]]}"] is None, "workers started without the token go without"
    facts = next(read_shard(storage(settings), read_version(storage(settings)).shards[0])).facts
    assert (facts["object"]["title"], facts["object"]["licence"]) == ("A stool", "by")
    written = b"".join(files(tmp_path / "dataset").values())
    assert b"secret" not in written


def test_a_model_of_several_files_changes_with_each(tmp_path: Path) -> None:
    data = struct.pack("<9f", 0, 0, 0, 1, 0, 0, 0, 1, 0)
    (tmp_path / "points.bin").write_bytes(data)
    (tmp_path / "model.gltf").write_text(
        json.dumps(
            {"asset": {"version": "2.0"}, "buffers": [{"uri": "points.bin", "byteLength": len(data)}]},
        )
    )
    before = model_sha256(tmp_path / "model.gltf")
    (tmp_path / "points.bin").write_bytes(data[::-1])
    assert model_sha256(tmp_path / "model.gltf") != before


def test_a_child_that_dies_twice_quarantines_its_object(tmp_path: Path) -> None:
    folder = models(tmp_path / "models", "stool")
    hurried = tiny(tmp_path / "dataset", folder, render={"child": {"import_timeout_s": 0.001}})
    for _ in range(2):
        with pytest.raises(Failure, match=r"stool_[0-9a-f]{16}: timeout: "):
            build(hurried, told := Told())
        attempts = Catalog(storage(hurried)).attempts()
        assert [(attempt.outcome, attempt.phase) for attempt in attempts] == [("timeout", "import")] * 2
    assert not any("trying once more" in line for line in told.lines)
    assert not Catalog(storage(hurried)).objects(), "a version without an object is none"


def test_bad_views_are_named_and_no_pair_has_one(tmp_path: Path) -> None:
    """A view in which at most 22 % of the frame is covered counts as blank here: some of these are."""
    folder = models(tmp_path / "models", "stool", "burger")
    strict = {"views": 6, "passes": ["mask"], "checks": {"blank_coverage": 0.22}}
    with pytest.raises(Failure, match=r"blank: expected at most 0 bad views, got \d: \d \(blank\)"):
        build(tiny(tmp_path / "strict", models(tmp_path / "alone", "stool"), render=strict), SILENT)
    settings = tiny(tmp_path / "dataset", folder, render={**strict, "max_bad_views": 4})
    build(settings, SILENT)
    verify(storage(settings), read_version(storage(settings)), SILENT)
    rows = Catalog(storage(settings)).objects()
    assert any("blank" in row.checks for row in rows.values() if row.ok)
    for entry in read_version(storage(settings)).shards:
        for sample in read_shard(storage(settings), entry):
            blank = [view for view in range(6) if f"{view:d}" in _views(rows[sample.uid].checks, "blank")]
            assert sample.good_views == [view for view in range(6) if view not in blank]
            assert {*sample.pairs.source, *sample.pairs.target} == set(sample.good_views)
            assert all(((sample.read_pass("mask", view) > 0).mean() <= 0.23) for view in blank)


def _views(checks: str, name: str) -> list[str]:
    """The views of which one check said yes."""
    said = dict(part.split(" ", 1) for part in checks.split("; ") if part)
    return said.get(name, "").split(", ")
