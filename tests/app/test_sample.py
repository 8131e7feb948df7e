"""`zero123 sample` with a small random model: options, resuming, outputs and sentences. In this process, for speed."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.main import main
from tests.zero123.networks import small_pipeline

pytestmark = pytest.mark.usefixtures("kept_signals")

Run = Callable[..., int]
QUICK = ("--set", "sample.steps=2", "--set", "sample.eta=0.5", "--device", "cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    small_pipeline().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def polar_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("polar-model")
    small_pipeline(pose_slot4="input_polar").save_pretrained(folder)
    return folder


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.zeros((32, 32, 4), np.uint8)
    pixels[8:24, 8:24] = (200, 60, 60, 255)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def sample(photo: Path, model: Path) -> Run:
    def run(*words: str, use: Path = model) -> int:
        return main(["sample", str(photo), "--model", str(use), *QUICK, *words])

    return run


def pixels_of(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture).astype(int)


def test_picture_depends_only_on_its_seed_and_view(sample: Run, tmp_path: Path) -> None:
    assert sample("--rig", "syncdreamer", "--elevation-deg", "20", "--out", str(tmp_path / "many")) == 0
    assert sample("--move=-10,0,-0.35", "--out", str(tmp_path / "one")) == 0
    many, one = pixels_of(tmp_path / "many" / "000.png"), pixels_of(tmp_path / "one" / "000.png")
    assert np.abs(many - one).max() <= 20  # another move, the same noise: near each other
    assert sample("--orbit", "9", "--samples", "2", "--out", str(tmp_path / "nine")) == 0
    assert sample("--orbit", "9", "--out", str(tmp_path / "alone")) == 0
    for view in range(9):
        alone = pixels_of(tmp_path / "alone" / f"{view:03d}.png")
        assert np.abs(pixels_of(tmp_path / "nine" / f"{view:03d}.png") - alone).max() <= 1
        assert np.abs(pixels_of(tmp_path / "nine" / f"{view:03d}-1.png") - alone).max() > 1


def test_guesses_in_a_single_step_are_said_to_be_alike(
    sample: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--orbit", "1", "--samples", "2", "--set", "sample.timesteps=all")
    for steps, said in ((1, True), (2, False)):
        assert sample(*words, "--set", f"sample.steps={steps}", "--out", str(tmp_path / str(steps))) == 0
        assert ("guesses in a single step are alike" in capsys.readouterr().err) is said


def test_the_same_command_goes_on_where_views_are_missing(
    sample: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--orbit", "3", "--samples", "2", "--film", "webp", "--out", str(tmp_path / "out"))
    assert sample(*words) == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    for name in ("001.png", "002-1.png", "orbit.webp"):
        (tmp_path / "out" / name).unlink()
    capsys.readouterr()
    assert sample(*words) == 0
    assert "6/6 views" in capsys.readouterr().err
    after = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert set(after) == set(before)
    names = ("000.png", "000-1.png", "001-1.png", "002.png")
    assert all(after[name] == before[name] for name in names)
    assert np.abs(pixels_of(tmp_path / "out" / "001.png") - np.asarray(Image.open(_saved(before, tmp_path)))).max() <= 1


def _saved(files: dict[str, bytes], folder: Path) -> Path:
    path = folder / "saved.png"
    path.write_bytes(files["001.png"])
    return path


def test_everything_is_written_that_the_guide_names(sample: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("--rig", "gradio", "--alpha", "--picture", "webp", "--film", "mp4", "--film", "webm", "--seed", "4")
    assert sample(*words, "--out", str(out)) == 0
    names = {f"{view:03d}.webp" for view in range(6)}
    others = {
        "views.json",
        "transforms.json",
        "extrinsics.npy",
        "sheet.png",
        "orbit.mp4",
        "orbit.webm",
        "settings.yaml",
    }
    assert names | others <= {path.name for path in out.iterdir()}
    record = json.loads((out / "views.json").read_text())
    assert record["alpha"] is True
    assert [row["name"] for row in record["views"]] == ["left", "above", "right", "random", "below", "behind"]
    assert record["sampling"]["steps"] == 2
    assert len(record["model"]["digest"]) == 16
    assert len(record["photo"]["prepared_sha256"]) == 64
    assert record["elevation"]["source"].startswith("assumed")


def test_a_model_that_needs_the_elevation_says_so(
    sample: Run, polar_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sample("--orbit", "1", "--out", str(tmp_path / "out"), use=polar_model) == 2
    assert "elevation" in capsys.readouterr().err
    low, high = tmp_path / "low", tmp_path / "high"
    assert sample("--orbit", "1", "--elevation-deg", "0", "--out", str(low), use=polar_model) == 0
    assert sample("--orbit", "1", "--elevation-deg", "60", "--out", str(high), use=polar_model) == 0
    assert np.abs(pixels_of(low / "000.png") - pixels_of(high / "000.png")).max() > 0


def test_an_unknown_elevation_is_estimated_and_reported(
    sample: Run, polar_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ("--set", "views.elevation.candidates_deg=[0.0, 60.0, 30.0]", "--set", "views.elevation.steps=2")
    for method, model in (("agreement", polar_model), ("noise", None)):
        out = tmp_path / f"{method}-{model is None}"
        use = {} if model is None else {"use": model}
        words = ("--rig", "zero123plus", "--elevation-deg", "auto", "--set", f"views.elevation.method={method}", *few)
        assert sample(*words, "--out", str(out), **use) == 0
        assert f"° by {method}" in capsys.readouterr().err
        told = json.loads((out / "views.json").read_text())["elevation"]
        assert told["source"] == f"estimated by {method}"
        assert told["candidates_deg"] == [0.0, 30.0, 60.0]
        assert len(told["scores"]) == 3
        assert np.isfinite([told["deg"], told["spread_deg"], *told["scores"]]).all()
        heights = [row["polar_rad"] for row in json.loads((out / "views.json").read_text())["views"]]
        assert np.allclose(np.rad2deg(heights), [70.0, 100.0] * 3)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "expected --move UP,RIGHT, --orbit N with N ≥ 1 or --rig NAME"),
        (["--orbit", "-1"], "expected --move UP,RIGHT, --orbit N with N ≥ 1 or --rig NAME"),
        (["--orbit", "1000"], "expected at most 999 views, got 1000"),
        (["--orbit", "1", "--samples", "0"], "--samples: expected 1 to 64, got 0"),
        (["--move", "0,0,-3"], "expected cameras away from the object's middle, got a distance of -1.15"),
        (["--move", "north"], "--move: expected UP,RIGHT or UP,RIGHT,AWAY"),
        (["--rig", "ring"], "--rig: expected gradio, orbit, sphere, spiral, sv3d, syncdreamer, zero123plus or a YAML"),
        (["--rig", "sphere"], "--rig sphere: expected the input's elevation"),
    ],
)
def test_wrong_moves_are_one_sentence_before_anything_is_loaded(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["sample", "nowhere.png", "--model", "nowhere", "--out", str(tmp_path / "out"), *words])
    assert code == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_rig_file_with_a_mistake_is_told_with_its_line(
    sample: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rig = tmp_path / "rig.yaml"
    rig.write_text("relative: [azimuth]\ncameras:\n  - {polar_deg: 60, azimuth_deg: x, radius: 1.5}\n")
    assert sample("--rig", str(rig)) == 2
    assert f"{rig}:3: cameras.0.azimuth_deg: expected a valid number, got 'x'" in capsys.readouterr().err
    rig.write_text("orthographic_width: 1.2\ncameras:\n  - {polar_deg: 60, azimuth_deg: 0, radius: 1.5}\n")
    assert sample("--rig", str(rig), "--elevation-deg", "10") == 2
    assert "expected perspective cameras" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["100", "nan", "north"])
def test_an_elevation_that_is_none_is_a_usage_error(text: str, sample: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        sample("--orbit", "1", "--elevation-deg", text)
    assert stop.value.code == 2
    assert "from -90 to 90 or auto" in capsys.readouterr().err


def test_full_disk_keeps_earlier_views(
    sample: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import errno

    import base.storage
    from inference import views_folder

    def fail(path: Path, data: bytes) -> None:
        if path.name == "001.png":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        base.storage.write_atomically(path, data)

    with monkeypatch.context() as patched:
        patched.setattr(views_folder, "write_atomically", fail)
        assert sample("--orbit", "2", "--out", str(tmp_path / "out")) == 1
    error = capsys.readouterr().err
    assert "001.png" in error
    assert "Traceback" not in error
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"000.png", "prepared.png", "views.json"}
    assert sample("--orbit", "2", "--out", str(tmp_path / "out")) == 0


def test_offload_is_a_setting_that_wants_an_accelerator(
    sample: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--offload", "--device", "cpu", "--move", "0,30", "--out", str(tmp_path / "out"))
    assert sample(*words, "--dry-run") == 0
    assert "    offload: true\n" in capsys.readouterr().out
    assert sample(*words) == 2
    assert "sample.compute.offload: expected an accelerator, got cpu" in capsys.readouterr().err
