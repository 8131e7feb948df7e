"""Objects that lack pictures: left out or kept as the settings say, and counted wherever people look."""

from pathlib import Path

import deltalake
import pytest

from base.progress import SILENT
from pipeline.builder import BuildSettings, build
from pipeline.catalog.faults import fault_counts, fault_sentence
from pipeline.catalog.rows import FOUND, ObjectRow
from pipeline.catalog.tables import ATTEMPTS, OBJECTS, Catalog
from pipeline.dataset.status import read_status
from tests.pipeline.builds import Told, files, storage, tiny

pytestmark = pytest.mark.usefixtures("in_this_process")
OBJ = "mtllib m.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl m\nf 1 2 3\n"


def model(folder: Path, picture: str) -> None:
    folder.mkdir(parents=True)
    (folder / "m.mtl").write_text(f"newmtl m\nmap_Kd {picture}\n")
    (folder / "model.obj").write_text(f"# {folder.name}\n{OBJ}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model with its picture beside its folder, and one that lacks two."""
    model(tmp_path / "models" / "whole" / "models", "../images/tex.png")
    (tmp_path / "models" / "whole" / "images").mkdir()
    (tmp_path / "models" / "whole" / "images" / "tex.png").write_bytes(b"a picture")
    model(tmp_path / "models" / "lost", "gone.png\nmap_Bump maps\\gone too.png")
    return tmp_path / "models"


def asked(folder: Path, missing_pictures: str) -> BuildSettings:
    return tiny(folder.parent / "dataset", folder, render={"missing_pictures": missing_pictures})


def lost_row(settings: BuildSettings) -> ObjectRow:
    return next(row for row in Catalog(storage(settings)).objects().values() if "lost" in row.location)


LACKED = "gone.png; maps/gone too.png"


def test_an_object_that_lacks_pictures_is_left_out_by_name(folder: Path) -> None:
    settings = asked(folder, "leave_out")
    assert build(settings, told := Told()).outcomes == {"missing_pictures": 1, "ok": 1}
    row = lost_row(settings)
    assert row.outcome == "missing_pictures"
    assert row.missing_pictures == LACKED
    assert row.phase == "check"
    assert row.reason == "expected every picture that the model shows, got nothing for gone.png, maps/gone too.png"
    assert any(row.reason in line for line in told.lines)
    assert told.lines[-1] == "faults of the data: 1 with missing pictures"
    assert read_status(storage(settings)).faults == {"missing_pictures": 1}
    page = (folder.parent / "dataset" / "report.html").read_text()
    assert "objects with missing pictures" in page
    assert LACKED in page
    assert "Faults of the data" not in (folder.parent / "dataset" / "README.md").read_text()
    assert build(settings, SILENT).idle


def test_the_setting_lets_it_in_and_leaves_it_out_again(folder: Path) -> None:
    kept, left_out = asked(folder, "render"), asked(folder, "leave_out")
    assert build(left_out, SILENT).outcomes == {"missing_pictures": 1, "ok": 1}
    summary = build(kept, told := Told())
    assert (summary.rendered, summary.outcomes) == (1, {"ok": 2})
    assert (lost_row(kept).outcome, lost_row(kept).missing_pictures) == ("ok", LACKED)
    assert any(line.endswith(f"rendered without these pictures: {LACKED}") for line in told.lines)
    card = (folder.parent / "dataset" / "README.md").read_text()
    assert "## Faults of the data" in card
    assert "| objects with missing pictures | 1 |" in card
    assert build(kept, SILENT).idle
    assert build(left_out, SILENT).outcomes == {"missing_pictures": 1, "ok": 1}
    assert build(left_out, SILENT).idle
    summary = build(kept, SILENT)
    assert (summary.rendered, summary.outcomes) == (0, {"ok": 2}), "its views are in a former version"
    assert lost_row(kept).missing_pictures == LACKED


def test_an_object_whose_pictures_are_found_later_is_rendered(folder: Path) -> None:
    settings = asked(folder, "leave_out")
    build(settings, SILENT)
    (folder / "lost" / "textures").mkdir()
    for name in ("Gone.png", "gone too.png"):
        (folder / "lost" / "textures" / name).write_bytes(b"a picture")
    summary = build(settings, SILENT)
    assert (summary.rendered, summary.outcomes) == (1, {"ok": 2})
    assert lost_row(settings).missing_pictures == ""
    assert read_status(storage(settings)).faults == {}


def forget_columns(dataset: Path, table: str) -> None:
    """Make a table as earlier releases wrote it."""
    stored = deltalake.DeltaTable(dataset / table)
    rows = stored.to_pyarrow_table().drop_columns(list(FOUND))
    known = {key: value for key, value in stored.history(1)[0].items() if key.startswith("zero123")}
    deltalake.write_deltalake(
        stored, rows, mode="overwrite", schema_mode="overwrite",
        commit_properties=deltalake.CommitProperties(custom_metadata=known),
    )  # fmt: skip


def test_old_catalogue_gets_new_columns(folder: Path) -> None:
    settings, dataset = asked(folder, "leave_out"), folder.parent / "dataset"
    build(settings, SILENT)
    for table in (OBJECTS, ATTEMPTS):
        forget_columns(dataset, table)
    catalog = Catalog(storage(settings))
    assert not set(FOUND) & catalog.columns(OBJECTS)
    assert (fault_counts(catalog, "true"), read_status(storage(settings)).faults) == ({}, {})
    assert lost_row(settings).missing_pictures == ""
    before = files(dataset, "shards")
    assert build(settings, SILENT).idle
    assert files(dataset, "shards") == before
    model(folder / "new", "none.png")
    assert build(settings, SILENT).outcomes == {"missing_pictures": 2, "ok": 1}
    assert set(FOUND) <= catalog.columns(OBJECTS)
    rows = catalog.objects()
    assert sorted(row.missing_pictures for row in rows.values()) == ["", "", "none.png"]
    assert fault_counts(catalog, "true") == {"missing_pictures": 1}
    assert build(settings, SILENT).idle


def test_faults_are_told_in_one_line() -> None:
    counts = {"missing_pictures": 3, "other_frame": 1, "culled_faces": 2, "merged_faces": 4}
    assert fault_sentence(counts) == (
        "3 with missing pictures, 4 with merged faces, 2 with culled faces, 1 in another frame than the first"
    )
