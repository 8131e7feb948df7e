"""`zero123 sample` over many pictures: a bad one does not stop the rest, and the same command goes on."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import inference.models
from app.main import main
from tests.zero123.networks import small_pipeline

pytestmark = pytest.mark.usefixtures("kept_signals")

WORDS = ("--set", "sample.steps=2", "--device", "cpu", "--move", "0,30")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    small_pipeline(pose_slot4="input_polar").save_pretrained(folder)
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, name in enumerate(("a.png", "b.png", "c.png")):
        pixels = np.zeros((32, 32, 4), np.uint8)
        pixels[8:24, 8 + number : 24] = (200, 60 * number, 60, 255)
        Image.fromarray(pixels).save(folder / name)
    whole = (folder / "b.png").read_bytes()
    (folder / "b.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "b.png").write_bytes(whole)
    return folder


def test_batch_skips_bad_pictures(
    photos: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    loads, load = [], inference.models.load_model
    monkeypatch.setattr(inference.models, "load_model", lambda *words: loads.append(words) or load(*words))
    out = tmp_path / "out"
    words = ["sample", str(photos), "--model", str(model), *WORDS, "--elevation-deg", "10", "--out", str(out)]
    assert main(words) == 1
    said = capsys.readouterr()
    assert "2 of 3 pictures sampled" in said.out
    assert f"failed: {photos / 'b.png'}: expected a whole picture" in said.out
    assert "Traceback" not in said.err
    assert len(loads) == 1
    rows = json.loads((out / "batch.json").read_text())
    assert [row["outcome"] for row in rows] == ["ok", "failed", "ok"]
    assert {path.name for path in out.iterdir()} == {"a", "c", "batch.json"}

    before = (out / "a" / "000.png").stat().st_mtime_ns
    (photos / "b.png").write_bytes((tmp_path / "b.png").read_bytes())
    assert main(words) == 0
    assert (out / "b" / "000.png").is_file()
    assert (out / "a" / "000.png").stat().st_mtime_ns == before


def test_no_usable_picture_loads_no_model(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pattern = str(photos / "b*")
    assert main(["sample", pattern, "--model", str(tmp_path / "nowhere"), *WORDS, "--out", str(tmp_path / "out")]) == 1
    assert "0 of 1 pictures sampled" in capsys.readouterr().out


def test_rows_of_a_csv_have_elevations_of_their_own(photos: Path, model: Path, tmp_path: Path) -> None:
    (photos / "all.csv").write_text("image,name,elevation_deg\na.png,low,0\na.png,high,60\n")
    out = tmp_path / "out"
    assert main(["sample", str(photos / "all.csv"), "--model", str(model), *WORDS, "--out", str(out)]) == 0
    records = [json.loads((out / name / "views.json").read_text()) for name in ("low", "high")]
    assert [record["elevation"]["deg"] for record in records] == [0.0, 60.0]
    assert (out / "low" / "000.png").read_bytes() != (out / "high" / "000.png").read_bytes()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--mask", "m.png"], "--mask: expected a single picture"),
        (["--rig", "sphere"], "--rig sphere: expected the input's elevation"),
    ],
)
def test_wrong_flags_are_told_before_any_picture(
    words: list[str], told: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", str(photos), "--model", "nowhere", *WORDS, *words, "--out", str(tmp_path / "out")]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
