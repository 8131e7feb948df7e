"""Sheets of Zero123++, cut into the views of a protocol; each mistake is a sentence."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from app.main import main
from base.data_files import read_named
from base.errors import Failure, UsageError
from evaluation.predictions import Predictions
from evaluation.protocol import PROTOCOLS
from evaluation.sheets import Sheet, cut_sheet
from evaluation.summary import read_summary
from geometry.camera import Lens, world_from_cam
from geometry.rig import RIGS, Rig
from reconstruct.raster import rasterise
from tests.evaluation.shapes.solids import box_mesh

SIX = (1, 2, 3, 4, 5, 6)
SMALL = Sheet(hw=(8, 10), background="grey")


def sheet(side: int = 320, background: int = 255) -> np.ndarray:
    """Six views with the background's border, row by row; view k is filled with 10 k, k from 1."""
    pixels = np.full((3 * side, 2 * side, 3), background, np.uint8)
    for k in range(6):
        row, column = divmod(k, 2)
        pixels[row * side + 2 : (row + 1) * side - 2, column * side + 2 : (column + 1) * side - 2] = 10 * (k + 1)
    return pixels


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def predictions(root: Path, text: str = "") -> Predictions:
    root.mkdir(exist_ok=True)
    (root / "method.yaml").write_text(f"name: theirs\n{text}")
    return Predictions(root)


def test_zero123plus_sheets_are_cut_row_by_row(tmp_path: Path) -> None:
    save(tmp_path / "views" / "a.png", sheet())
    (sample,) = predictions(tmp_path).view_samples("a", SIX, 7, (320, 320))
    assert [int(sample[number][160, 160, 0]) for number in SIX] == [10, 20, 30, 40, 50, 60]
    assert {view.shape for view in sample.values()} == {(320, 320, 3)}


def test_a_sheet_of_all_views_gives_the_targets(tmp_path: Path) -> None:
    save(tmp_path / "views" / "a.png", sheet())
    (sample,) = predictions(tmp_path).view_samples("a", (2, 5), 6, None)
    assert {number: int(view[160, 160, 0]) for number, view in sample.items()} == {2: 30, 5: 60}


def test_other_layouts_and_samples_are_stated(tmp_path: Path) -> None:
    for name in ("0", "1"):
        save(tmp_path / "views" / "a" / f"{name}.png", np.full((8, 20, 3), 200 + int(name), np.uint8))
    theirs = predictions(tmp_path, "sheet: {rows: 1, columns: 2, hw: [8, 10]}\n")
    first, second = theirs.view_samples("a", (3, 4), 9, (8, 10))
    assert first[4].shape == (8, 10, 3)
    assert int(second[3][0, 0, 0]) == 201


def test_grey_backgrounds_become_transparent(tmp_path: Path) -> None:
    pixels = np.full((24, 20, 3), 124, np.uint8)
    pixels[2:6, 2:8] = 50
    pixels[3, 4] = 127  # grey that the object encloses
    pixels[0, 0] = 127 + 13
    view = cut_sheet(save(tmp_path / "a.png", pixels), SMALL, SIX, 7, None)[1]
    expected = np.zeros((8, 10), bool)
    expected[2:6, 2:8] = True
    expected[0, 0] = True
    assert np.array_equal(view[..., 3] == 255, expected)
    assert int(view[3, 4, 0]) == 127


def test_alpha_of_a_sheet_is_kept(tmp_path: Path) -> None:
    pixels = np.dstack([np.full((24, 20, 3), 127, np.uint8), np.full((24, 20), 90, np.uint8)])
    view = cut_sheet(save(tmp_path / "a.png", pixels), SMALL, SIX, 7, None)[6]
    assert (view[..., 3] == 90).all()


@pytest.mark.parametrize(
    ("pixels", "targets", "hw", "sentence"),
    [
        (sheet(256), SIX, (320, 320), "expected a picture of 640 × 960, got 512 × 768"),
        (sheet(), SIX, (256, 256), "expected views of 256 × 256, got a sheet of views of 320 × 320"),
        (sheet(), (1, 2), None, "expected a sheet of 2 or 7 views, got 3 rows of 2"),
        (sheet(background=127), SIX, None, "expected a white background, got grey"),
    ],
    ids=["size", "views", "count", "grey"],
)
def test_wrong_sheets_are_named_in_a_sentence(
    tmp_path: Path, pixels: np.ndarray, targets: tuple[int, ...], hw: tuple[int, int] | None, sentence: str
) -> None:
    save(tmp_path / "views" / "a.png", pixels)
    with pytest.raises(Failure) as error:
        predictions(tmp_path).view_samples("a", targets, 7, hw)
    assert sentence in str(error.value)
    assert "a.png" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_sheet_beside_a_folder_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "views" / "a.png", sheet())
    save(tmp_path / "views" / "a" / "001.png", sheet())
    with pytest.raises(Failure, match="expected a sheet or a folder of views, got both"):
        predictions(tmp_path).view_samples("a", SIX, 7, None)


@pytest.mark.parametrize("layout", ["rows: 0", "rows: 9, columns: 9", "hw: [0, 320]", "grey_levels: 90", "order: x"])
def test_wrong_layouts_are_usage_errors(tmp_path: Path, layout: str) -> None:
    with pytest.raises(UsageError, match=r"method\.yaml:\d+: sheet"):
        predictions(tmp_path, f"sheet: {{{layout}}}\n")


def test_the_digest_follows_sheet_and_layout(tmp_path: Path) -> None:
    save(tmp_path / "views" / "a.png", sheet())
    before = predictions(tmp_path).digest("a")
    assert predictions(tmp_path, "sheet: {background: grey}\n").digest("a") != before
    save(tmp_path / "views" / "a.png", sheet(background=254))
    assert predictions(tmp_path).digest("a") != before


def write_truth(root: Path) -> list[np.ndarray]:
    """A box seen from azimuth 0 and by the rig zero123plus at 32 px, as `transforms.json`; return all views, RGBA."""
    rig = read_named(Rig, "zero123plus", RIGS, "rig")
    cameras = rig.extrinsics([np.random.default_rng(0)] * 6)
    lens, mesh = rig.lens(0), box_mesh((0.3, 0.5, 0.2))
    assert isinstance(lens, Lens)
    views, frames = [], []
    # Any camera may be the input's here.
    for number, camera in enumerate([cameras[0], *cameras]):
        seen = rasterise(mesh.vertices, mesh.faces, camera, lens, (32, 32)).face
        colour = np.where(seen[..., None] >= 0, 20 * (1 + seen[..., None] // 2 % 6) * np.array([1, 0, 0]), 0)
        views.append(np.dstack([colour, np.where(seen >= 0, 255, 0)]).astype(np.uint8))
        save(root / "box" / f"{number}.png", views[-1])
        matrix = np.vstack([world_from_cam(camera), [0, 0, 0, 1]])
        frames.append({"file_path": f"{number}.png", "transform_matrix": matrix.tolist()})
    values = {"camera_angle_x": lens.fov_rad, "w": 32, "h": 32, "frames": frames}
    (root / "box" / "transforms.json").write_text(json.dumps(values))
    return views


def test_the_true_sheet_on_grey_is_perfect(tmp_path: Path) -> None:
    views = write_truth(tmp_path / "data")
    protocol = yaml.safe_load((PROTOCOLS / "gso33.yaml").read_text()) | {"hw": [32, 32], "targets": list(SIX)}
    protocol["views"]["sound"] |= {"targets": list(SIX), "metrics": ["psnr", "mask-iou"]}
    (tmp_path / "plus.yaml").write_text(yaml.safe_dump(protocol))
    opaque = [np.where(view[..., 3:] > 0, view[..., :3], 127).astype(np.uint8) for view in views[1:]]
    rows = [np.concatenate(opaque[k : k + 2], axis=1) for k in (0, 2, 4)]
    save(tmp_path / "made" / "views" / "box.png", np.concatenate(rows))
    predictions(tmp_path / "made", "sheet: {hw: [32, 32], background: grey}\n")
    words = ["--data", tmp_path / "data", "--predictions", tmp_path / "made", "--out", tmp_path / "out"]
    assert main(["benchmark", "score", str(tmp_path / "plus.yaml"), *map(str, words)]) == 0
    figures = read_summary(tmp_path / "out").figures["sound"]
    assert figures["psnr"]["box"] == np.inf
    assert figures["mask-iou"]["box"] == 1.0
