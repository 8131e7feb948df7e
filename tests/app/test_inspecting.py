"""What people point `zero123 inspect` at, and what they see of it."""

from pathlib import Path

import pytest

from app.inspecting import inspect_target, write_inspection
from app.settings import Settings, load_settings
from base.errors import Failure, UsageError
from base.progress import SILENT
from base.storage import Storage
from pipeline.catalog.rows import Attempt, ObjectRow
from pipeline.catalog.tables import Catalog, VersionFacts
from shards.sample import members_from_views
from shards.write import write_shard
from tests.pipeline.builds import changes
from tests.shards.datasets import HW, VIEWS, make_views

ROOT = Path(__file__).parents[2]


def settings(root: Path, *words: str) -> Settings:
    return load_settings(ROOT / "pipeline.yaml", [], [f"storage.root={root}", *words])


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A dataset of one object with views and one that ended corrupt."""
    storage, uid = Storage(tmp_path / "dataset"), "dog_00000001"
    members = members_from_views(make_views(tmp_path / "views", uid), {"uid": uid, "title": "Dog", "licence": "CC0"})
    shard = write_shard(storage, "train", 0, [(uid, members)])
    entry = shard.samples[0]
    placed = {
        "split": "train", "shard": 0, "shard_name": shard.name, "shard_sha256": shard.sha256,
        "shard_bytes": shard.bytes, "sample_offset": entry.offset, "sample_bytes": entry.bytes,
    }  # fmt: skip
    dog = ObjectRow(uid=uid, source="folder", location="dog.glb", outcome="ok", **placed)
    bad = ObjectRow(uid="bad_00000002", source="folder", location="b.glb", outcome="corrupt", reason="no header")
    catalog = Catalog(storage)
    catalog.record([Attempt(attempt="0", run="r", uid=uid, outcome="ok", seconds={"sample": 4.5}, at=1.0)])
    catalog.commit(changes(dog, bad), VersionFacts("0" * 16, VIEWS, HW))
    catalog.publish()
    return tmp_path / "dataset"


def test_an_object_of_a_dataset_is_found_by_how_its_uid_starts(dataset: Path) -> None:
    found = inspect_target("dog", 24, settings(dataset), SILENT)
    assert (found.title, found.total) == ("Dog", 1)
    (shown,) = found.objects
    assert shown.facts["licence"] == "CC0"
    assert shown.seconds == {"sample": 4.5}
    assert len(shown.views) == VIEWS
    (whole,) = inspect_target(str(dataset), 24, settings(dataset), SILENT).objects
    assert (whole.uid, whole.seconds) == (shown.uid, shown.seconds)


def test_an_object_without_views_says_how_it_ended(dataset: Path) -> None:
    with pytest.raises(Failure, match=r"bad_00000002: .* outcome corrupt no header"):
        inspect_target("bad_00000002", 24, settings(dataset), SILENT)
    with pytest.raises(UsageError, match=r"cat: expected a dataset's folder, .* it is none"):
        inspect_target("cat", 24, settings(dataset), SILENT)


def test_a_model_is_rendered_small_with_the_settings_asked_for(tmp_path: Path) -> None:
    asked = settings(tmp_path / "none", "render.views=2", "render.samples=1", "render.light=uniform")
    found = inspect_target(str(ROOT / "examples" / "objects" / "stool.glb"), 24, asked, SILENT)
    (shown,) = found.objects
    assert [view.shape for view in shown.views] == [(192, 192, 4)] * 2
    assert shown.facts["light"] == "uniform"
    assert shown.seconds["sample"] > 0
    write_inspection(found, tmp_path / "out")
    page = (tmp_path / "out" / "inspect.html").read_text()
    assert "everywhere" in page
    assert "by phase" in page
    (tmp_path / "broken.glb").write_text("no model")
    with pytest.raises(Failure, match=r"broken\.glb: corrupt: "):
        inspect_target(tmp_path / "broken.glb", 24, asked, SILENT)


def test_a_folder_of_folders_of_views_shows_each(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        make_views(tmp_path / "views" / name, name)
    (tmp_path / "views" / "a" / "render.json").write_text('{"seconds": {"encode": 0.5, "sample": 1.5, "start": 0.0}}')
    (tmp_path / "views" / "b" / "render.json").write_text('{"seconds": {"sample": "long"}}')
    (tmp_path / "views" / "notes").mkdir()
    found = inspect_target(tmp_path / "views", 2, settings(tmp_path), SILENT)
    assert ([shown.uid for shown in found.objects], found.total) == (["a", "b"], 3)
    assert [list(shown.seconds.items()) for shown in found.objects] == [
        [("start", 0.0), ("sample", 1.5), ("encode", 0.5)],
        [],
    ]


def test_facts_that_are_not_ours_are_a_sentence(tmp_path: Path) -> None:
    folder = make_views(tmp_path / "views", "a")
    (folder / "views.json").write_text('{"lights": [{"kind": "area"}]}')
    with pytest.raises(Failure, match=r"views/views\.json: expected facts of rendered views"):
        inspect_target(folder, 1, settings(tmp_path), SILENT)
