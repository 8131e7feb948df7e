"""Views that others rendered, packed without rendering: nothing trusted, nothing drawn."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from base.errors import UsageError
from base.outcomes import Outcome
from base.progress import SILENT
from pipeline.builder import BuildSettings, build
from pipeline.catalog.objects import SourceObject
from pipeline.catalog.rows import Attempt
from pipeline.fetch.limiter import Buckets
from pipeline.sources.renders import rendered_objects, views_sha256
from pipeline.work.found_views import found_fingerprints
from pipeline.work.render_stage import RenderStage
from pipeline.work.worker import ItemJob, Worker, WorkerSpec
from report.escape import csv_cell
from shards.layouts import read_views
from shards.sample import members_from_views
from tests.pipeline.builds import Told, tiny
from tests.pipeline.releases import HW, VIEWS, released


def settings_of(root: Path, renders: Path, **render: Any) -> BuildSettings:
    asked = {"hw": list(HW), "views": VIEWS, **render}
    return tiny(root, renders, objects={"source": "renders", "renders": str(renders)}, render=asked)


def tried(folder: Path, tmp_path: Path, **render: Any) -> Attempt:
    """What a worker says of the only object of `folder`."""
    settings = settings_of(tmp_path / "dataset", folder, **render)
    (item,) = rendered_objects(folder, SILENT)
    places = settings.objects.fetch, settings.objects.objaverse, ""
    worker = Worker(
        WorkerSpec("run", settings.storage.root, RenderStage(settings.objects.source, settings.render, 0), *places),
        Buckets(1, 1.0),
    )
    ended = worker.do(ItemJob(item))
    assert isinstance(ended, Attempt)
    return ended


def test_views_are_staged_as_they_are(tmp_path: Path) -> None:
    folder = released(tmp_path / "release", "a" * 32)
    ended = tried(tmp_path / "release", tmp_path)
    assert ended.outcome == Outcome.OK
    assert ended.sha256 == views_sha256(folder)
    assert ended.views == VIEWS
    (staged,) = (tmp_path / "dataset" / "staging").glob("a*")
    theirs, ours = read_views(folder), read_views(staged)
    np.testing.assert_array_equal(ours.images, theirs.images)
    np.testing.assert_array_equal(ours.extrinsics, theirs.extrinsics)
    sample = json.loads(members_from_views(staged, {"uid": ended.uid})["json"])
    assert sample["render"]["layout"] == "legacy"
    assert sample["render"]["views"][3]["radius"] == pytest.approx(np.linalg.norm(theirs.extrinsics[3, :, 3]))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def resized(path: Path) -> None:
    Image.new("RGBA", (32, 16)).save(path)


def pickled(path: Path) -> None:
    np.save(path, np.array([{}], object), allow_pickle=True)


def piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("name", "harm", "outcome", "words"),
    [
        ("004.png", cut, Outcome.CORRUPT, "expected a whole PNG image"),
        ("004.png", Path.unlink, Outcome.CORRUPT, "no file 004.png in it"),
        ("004.png", piped, Outcome.CORRUPT, "no file 004.png in it"),
        ("004.png", resized, Outcome.UNSUPPORTED, "004.png: expected 16×16 pixels (render.hw), got 16×32"),
        ("004.npy", Path.unlink, Outcome.UNSUPPORTED, "expected 12 views (render.views), got 11"),
        ("004.npy", pickled, Outcome.CORRUPT, "expected float64 of shape 3×4"),
        ("004.npy", lambda path: np.save(path, np.zeros((3, 4))), Outcome.CORRUPT, "view 4: expected a rotation"),
        ("004.npy", lambda path: np.save(path, np.full((3, 4), np.nan)), Outcome.CORRUPT, "finite numbers"),
        ("000.png", Path.unlink, Outcome.EMPTY, "expected views (000.png and 000.npy, and so on), got nothing"),
    ],
)
def test_what_is_wrong_with_a_folder_is_its_outcome(
    name: str, harm: Any, outcome: Outcome, words: str, tmp_path: Path
) -> None:
    harm(released(tmp_path / "release", "thing") / name)
    ended = tried(tmp_path / "release", tmp_path)
    assert ended.outcome == outcome
    assert words in ended.reason
    assert not list((tmp_path / "dataset" / "staging").glob("thing*"))


def test_views_of_nothing_are_blank_and_an_empty_folder_is_empty(tmp_path: Path) -> None:
    folder = released(tmp_path / "release", "thing")
    Image.new("RGBA", HW).save(folder / "007.png")
    ended = tried(tmp_path / "release", tmp_path)
    assert (ended.outcome, ended.checks[:13]) == (Outcome.BLANK, "transparent 7")
    assert tried(tmp_path / "release", tmp_path, max_bad_views=1).outcome == Outcome.OK
    (tmp_path / "other" / "crashed").mkdir(parents=True)
    ended = tried(tmp_path / "other", tmp_path)
    assert ended.outcome == Outcome.EMPTY
    assert ended.sha256 == ""
    assert ended.fingerprint == ""


def objects(folder: Path) -> dict[str, SourceObject]:
    return {Path(item.location).name: item for item in rendered_objects(folder, SILENT)}


def test_folders_become_objects_with_what_is_known_of_them(tmp_path: Path) -> None:
    for name in ("0" * 32, "red chair.v2", "left"):
        released(tmp_path, name)
    (tmp_path / "valid_paths.json").write_text(json.dumps(["0" * 32, "red chair.v2", "gone"]))
    (tmp_path / "OBJECTS.csv").write_text("path,licence,author,title\nred chair.v2,CC0-1.0,Ann,A chair\n")
    items = rendered_objects(tmp_path, told := Told())
    assert told.lines == [f"{tmp_path / 'valid_paths.json'}: 1 folders are not named there and are left out"]
    found = {item.title: item for item in items}
    assert found["0" * 32].uid == "0" * 32
    chair = found["A chair"]
    assert chair.uid[:-16] == "red_chair_v2_"
    assert chair.licence == "CC0-1.0"
    assert chair.author == "Ann"
    assert chair.source == "renders"
    assert found["gone"].sha256 == ""
    assert found["0" * 32].sha256 != ""


def test_attribution_cells_are_decoded(tmp_path: Path) -> None:
    released(tmp_path, "-chair")
    rows = [("uid", "title", "author"), (csv_cell("-chair"), csv_cell("=SUM(A1)"), csv_cell("'@anna"))]
    with (tmp_path / "ATTRIBUTION.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    (item,) = rendered_objects(tmp_path, SILENT)
    assert item.uid == "-chair"
    assert item.title == "=SUM(A1)"
    assert item.author == "'@anna"
    (tmp_path / "OBJECTS.csv").write_text("path,author\n-chair,'@anna\n")
    assert rendered_objects(tmp_path, SILENT)[0].author == "'@anna", "a table of one's own is taken at its word"


def test_the_digest_is_of_pictures_and_cameras_alone(tmp_path: Path) -> None:
    folder = released(tmp_path, "thing")
    before = views_sha256(folder)
    (folder / "render.json").write_text('{"seconds": 3}')
    assert views_sha256(folder) == before
    for name in ("003.png", "003.npy"):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        assert views_sha256(folder) != before
        (folder / name).write_bytes(data)
    (folder / "003.png").rename(folder / "030.png")
    assert views_sha256(folder) != before


@pytest.mark.parametrize("names", ['["../a"]', '["a/b"]', '["/a"]', '[".."]', "[]", "[3]", '{"a": 1}', "[", '[""]'])
def test_valid_paths_name_folders_beside_them(names: str, tmp_path: Path) -> None:
    released(tmp_path, "a")
    (tmp_path / "valid_paths.json").write_text(names)
    with pytest.raises(UsageError, match=r"valid_paths\.json: expected a JSON list"):
        rendered_objects(tmp_path, SILENT)


def test_what_is_no_release_is_a_usage_error(tmp_path: Path) -> None:
    folder = released(tmp_path / "release", "a")
    (tmp_path / "none").mkdir()
    for place, words in (
        (folder, "the views of a single object"),
        (tmp_path / "none", "got nothing"),
        (tmp_path / "x", "got"),
    ):
        with pytest.raises(UsageError, match=words):
            build(settings_of(tmp_path / "dataset", place), SILENT)
    with pytest.raises(UsageError, match=r"render\.passes: expected no passes"):
        build(settings_of(tmp_path / "dataset", tmp_path / "release", passes=["depth"]), SILENT)


def test_only_settings_that_count_make_views_be_packed_anew(tmp_path: Path) -> None:
    render = settings_of(tmp_path, tmp_path).render
    same = {"samples": 99, "radius": (1.0, 9.0), "light": "studio", "compat": "9.9", "alpha": "hard"}
    other: dict[str, Any] = {"hw": (32, 32), "views": 3, "max_bad_views": 2}
    assert found_fingerprints(render.model_copy(update=same))("x") == found_fingerprints(render)("x")
    changed = [found_fingerprints(render.model_copy(update={name: value}))("x") for name, value in other.items()]
    assert len({found_fingerprints(render)("x"), found_fingerprints(render)("y"), *changed}) == 5
