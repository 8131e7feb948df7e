"""`zero123 reconstruct` with a small random model: both methods' files, resuming, and refusals."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from app.main import main
from tests.zero123.networks import small_pipeline

pytestmark = pytest.mark.usefixtures("kept_signals")

SIDE = 32
QUICK = {
    "sample.steps": 2,
    "reconstruct.views": {"rig": "zero123plus", "outvoted": 5, "smooth_cells": 0.7},
    "reconstruct.surface.resolution": 24,
    "reconstruct.stages": [{"resolution": 12, "steps": 2}],
    "reconstruct.input_rays": 256,
    "reconstruct.samples_per_ray": 16,
    "reconstruct.score.viewpoints": 4,
    "reconstruct.mesh.resolution": 16,
    "reconstruct.mesh.levels": [1.0],
    "reconstruct.mesh.texture": {"edge_px": 64, "views": 2},
    "reconstruct.turntable.frames": 2,
    "reconstruct.turntable.hw": [16, 16],
}
Reconstruct = Callable[..., int]


@pytest.fixture(scope="module")
def reconstruct(tmp_path_factory: pytest.TempPathFactory) -> Reconstruct:
    folder = tmp_path_factory.mktemp("reconstruct")
    small_pipeline().save_pretrained(folder / "model")
    pixels = np.zeros((SIDE, SIDE, 4), np.uint8)
    pixels[8:24, 10:22] = (200, 60, 40, 255)
    Image.fromarray(pixels).save(folder / "photo.png")
    settings = [word for key, value in QUICK.items() for word in ("--set", f"{key}={json.dumps(value)}")]

    def run(method: str, out: Path, *words: str) -> int:
        fixed = ["--model", str(folder / "model"), "--device", "cpu", "--elevation-deg", "20", "--prepare", "as_is"]
        asked = ["reconstruct", str(folder / "photo.png"), "--out", str(out), "--set", f"reconstruct.method={method}"]
        return main([*asked, *fixed, *settings, *words])

    return run


@pytest.mark.parametrize("method", ["views", "score"])
def test_a_mesh_in_every_format_with_its_record(reconstruct: Reconstruct, method: str, tmp_path: Path) -> None:
    assert reconstruct(method, tmp_path, "--mesh-format", "obj,ply,usdz") == 0
    record = json.loads((tmp_path / "reconstruction.json").read_text())
    assert record["method"] == method
    assert (record["level"] is None) == (method == "views")
    assert set(record["files"]) == {"object.glb", "object.obj", "object.mtl", "object.png", "object.ply", "object.usdz"}
    assert set(record["files"]) <= {path.name for path in tmp_path.iterdir()}
    assert not (tmp_path / "optimisation.safetensors").exists()


def test_sampled_views_are_kept_for_the_next_run(
    reconstruct: Reconstruct, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert reconstruct("views", tmp_path) == 0
    views = sorted((tmp_path / "views").glob("*.png"))
    assert len(views) == 6
    times, mesh = [view.stat().st_mtime_ns for view in views[1:]], (tmp_path / "object.glb").read_bytes()
    views[0].unlink()
    assert reconstruct("views", tmp_path, "--viewer") == 0
    assert "the run's page: http://127.0.0.1:" in "".join(capfd.readouterr())
    assert [view.stat().st_mtime_ns for view in views[1:]] == times
    assert (tmp_path / "object.glb").read_bytes() == mesh


def test_a_wrong_format_or_rig_is_a_usage_error(
    reconstruct: Reconstruct, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        reconstruct("views", tmp_path, "--mesh-format", "obj,fbx")
    assert "expected any of glb, obj, ply, usdz, separated by commas, got 'obj,fbx'" in capsys.readouterr().err
    assert reconstruct("views", tmp_path, "--set", "reconstruct.views.rig=nowhere") == 2
    assert "reconstruct.views.rig" in capsys.readouterr().err


def test_films_of_the_turn_with_depth_and_normals(reconstruct: Reconstruct, tmp_path: Path) -> None:
    assert reconstruct("views", tmp_path, "--turntable", "webp,mp4", "--turntable-passes", "depth,normal") == 0
    for name in ("turntable", "turntable_depth", "turntable_normal"):
        with Image.open(tmp_path / f"{name}.webp") as film:
            assert film.n_frames == 2
        assert (tmp_path / f"{name}.mp4").read_bytes()[4:8] == b"ftyp"
    with pytest.raises(SystemExit, match="2"):
        reconstruct("views", tmp_path, "--turntable", "gif")


@pytest.mark.slow  # Blender starts
def test_blender_turns_the_mesh_as_the_rasteriser_does(reconstruct: Reconstruct, tmp_path: Path) -> None:
    """The silhouette, the depths and the normals agree."""
    words = ["--turntable-passes", "depth,normal", "--set", "reconstruct.turntable.hw=[64,64]"]
    frames = {}
    for renderer in ("quick", "cycles"):
        assert reconstruct("views", tmp_path / renderer, "--render", renderer, *words) == 0
        for name in ("turntable", "turntable_depth", "turntable_normal"):
            with Image.open(tmp_path / renderer / f"{name}.webp") as film:
                frames[renderer, name] = np.asarray(film.convert("RGBA")).astype(float)
    seen = [frames[renderer, "turntable"][..., 3] > 127 for renderer in ("quick", "cycles")]
    assert (seen[0] != seen[1]).mean() < 0.01
    inner = ndimage.binary_erosion(seen[0] & seen[1], iterations=3)
    assert inner.sum() > 50
    for name in ("turntable_depth", "turntable_normal"):
        apart = np.abs(frames["quick", name] - frames["cycles", name])[inner][:, :3]
        assert np.median(apart) <= 4.0
