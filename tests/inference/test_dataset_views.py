"""A dataset's version as pictures: the view and its elevation per object, and only what changed is done again."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from app.main import main
from base.progress import SILENT
from base.storage import Storage
from inference.dataset_views import DatasetViews
from pipeline.catalog.tables import Catalog
from shards.reader import read_shard
from shards.sample import Sample, view_suffix
from shards.version import read_version
from tests.app.conftest import kept_signals
from tests.app.test_many_pictures import WORDS, outcomes, stub
from tests.shards.datasets import damaged, make_version

__all__ = ["kept_signals", "stub"]

pytestmark = pytest.mark.usefixtures("kept_signals")


@pytest.fixture
def source(tmp_path: Path) -> Storage:
    return write_version(tmp_path, 1, 2)


def write_version(tmp_path: Path, number: int, objects: int) -> Storage:
    """A version of `objects` objects in one shard; those of an earlier version are the same."""
    storage = Storage(tmp_path / "source")
    version = make_version(storage, tmp_path / f"views-{number}", [objects])
    storage.write(f"versions/{number}.json", replace(version, number=number).to_json())
    return storage


def samples(storage: Storage) -> dict[str, Sample]:
    return {one.uid: one for shard in read_version(storage).shards for one in read_shard(storage, shard)}


def attempts(root: Path) -> list[str]:
    return sorted(attempt.uid for attempt in Catalog(Storage(str(root))).attempts())


def test_each_object_is_an_item_with_its_view_elevation_and_licence(source: Storage) -> None:
    items = {item.uid: item for item in DatasetViews.find(source.root, 3).items(SILENT)}
    assert items.keys() == samples(source).keys()
    for uid, sample in samples(source).items():
        assert items[uid].licence == "CC0-1.0"
        about = json.loads(items[uid].about)
        assert about["elevation_deg"] == pytest.approx(90.0 - sample.polar_rad[3] * 57.29577951308232, abs=1e-4)
    others = {item.uid: item for item in DatasetViews.find(f"{source.root}@1", 4).items(SILENT)}
    assert all(others[uid].sha256 != items[uid].sha256 for uid in items)


def test_a_bad_view_gives_way_to_the_next_good_one(source: Storage, tmp_path: Path) -> None:
    def mark(members: dict[str, bytes]) -> None:
        facts = json.loads(members["json"])
        facts["render"]["views"] = [{"bad": number in (0, 1)} for number in range(12)]
        members["json"] = json.dumps(facts).encode()

    there = Storage(tmp_path / "marked")
    there.write("versions/1.json", damaged(read_version(source), source, there, "object-0-001", mark).to_json())
    (first, second), (_, third) = (list(DatasetViews.find(there.root, view).items(SILENT)) for view in (0, 2))
    assert second.sha256 == third.sha256
    assert json.loads(first.about)["elevation_deg"] != json.loads(second.about)["elevation_deg"]


@pytest.mark.usefixtures("stub")
@pytest.mark.parametrize("command", ["sample", "reconstruct"])
def test_only_new_objects_run_when_the_dataset_grows(command: str, source: Storage, tmp_path: Path) -> None:
    out = tmp_path / "out"
    turn = ["--set", "reconstruct.turntable.frames=2", "--set", "reconstruct.turntable.hw=[16,16]"]
    flags = WORDS if command == "sample" else ("--on", "ray", *turn)
    words = [command, "--dataset", source.root, "--view", "3", *flags, "--out", str(out)]
    assert main(words) == 0
    assert outcomes(out) == {"object-0-000": "ok", "object-0-001": "ok"}
    for uid, sample in samples(Storage(str(out))).items():
        assert sample.facts["object"]["licence"] == "CC0-1.0"
        assert sample.facts["object"]["source"] == "dataset"
        assert uid in samples(source)
    # The same objects, in a shard of another name.
    write_version(tmp_path, 2, 3)
    assert main(words) == 0
    assert attempts(out) == ["object-0-000", "object-0-001", "object-0-002"]
    words[2] = f"{source.root}@1"
    assert main(words) == 0
    assert outcomes(out) == {"object-0-000": "ok", "object-0-001": "ok"}
    assert len(attempts(out)) == 3


@pytest.mark.usefixtures("stub")
def test_a_damaged_sample_costs_its_object_alone_and_is_retried_on_request(source: Storage, tmp_path: Path) -> None:
    whole, there, out = read_version(source), Storage(tmp_path / "spoilt"), tmp_path / "out"

    def spoil(members: dict[str, bytes]) -> None:
        members[view_suffix(0)] = b"no picture"

    there.write("versions/1.json", damaged(whole, source, there, "object-0-001", spoil).to_json())
    words = ["sample", "--dataset", there.root, *WORDS, "--out", str(out)]
    assert main(words) == 0
    assert outcomes(out) == {"object-0-000": "ok", "object-0-001": "corrupt"}
    row = Catalog(Storage(str(out))).objects()["object-0-001"]
    assert "object-0-001.00.webp: expected" in row.reason
    assert main(words) == 0
    before = attempts(out)
    assert main([*words, "--retry", "timeout"]) == 0
    assert attempts(out) == before
    assert main([*words, "--retry", "corrupt"]) == 0
    assert attempts(out) == sorted([*before, "object-0-001"])


def test_mistakes_are_a_sentence(source: Storage, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, sentence in (
        (["--dataset", source.root], "--dataset: expected --on ray, got --on here"),
        (["--view", "1", "--on", "ray", "a.png"], "--view: expected --dataset, got pictures"),
        (["--dataset", source.root, "--on", "ray", "a.png"], "expected IMAGE or --dataset, got both"),
        (["--dataset", source.root, "--on", "ray", "--view", "12"], "--view: expected 0 to 11, the views of"),
        (["--dataset", source.root, "--on", "ray", "--mask", "m.png"], "--mask: expected a single picture"),
        (["--on", "ray"], "expected IMAGE, or --dataset ROOT with --on ray, got neither"),
        (["--retry", "crash", "a.png"], "--retry: expected --on ray, got --on here"),
        (["--retry", "ok", "--on", "ray", "a.png"], "argument --retry: expected all or any of blank, "),
    ):
        try:
            code = main(["sample", *words, "--orbit", "2", "--out", str(tmp_path / "out")])
        except SystemExit as stop:
            code = stop.code
        assert code == 2
        assert sentence in capsys.readouterr().err
    assert main(["sample", "--dataset", f"{source.root}@7", "--on", "ray", "--orbit", "2"]) == 1
    assert "expected a version 7, got only: 1" in capsys.readouterr().err
    assert main(["reconstruct", "a.png"]) == 2
    assert "expected --elevation-deg DEG or auto, got nothing" in capsys.readouterr().err
