"""RTMV in the exact form on disk; its pictures are written by OpenEXR itself."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from base.errors import Failure
from evaluation.datasets.rtmv import Rtmv
from evaluation.exr import read_exr
from evaluation.mesh_files import ply_bytes
from evaluation.shapes.voxels import Grid, parity_fill, volumetric_iou
from geometry.camera import camera_centre, look_at_origin, world_from_cam
from tests.evaluation.small_rtmv import SCENES, write_small_rtmv

OpenEXR = pytest.importorskip("OpenEXR")

HW = (21, 34)
COMPRESSIONS = ("NO_COMPRESSION", "RLE_COMPRESSION", "ZIPS_COMPRESSION", "ZIP_COMPRESSION")


def save_exr(path: Path, channels: dict[str, np.ndarray], compression: str = "ZIP_COMPRESSION") -> None:
    header = {"compression": getattr(OpenEXR, compression), "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, channels).write(str(path))


def write(root: Path, **changes: Any) -> Path:
    scene = root / "00001"
    scene.mkdir(parents=True)
    for number, centre in enumerate(([2.0, 0, 0.5], [0, 2.0, 0.5])):
        matrix = look_at_origin(centre)
        inverse = np.vstack([world_from_cam(matrix), [0, 0, 0, 1]])
        camera = {
            "width": HW[1], "height": HW[0], "intrinsics": {"fx": 30.0, "fy": 31.0, "cx": 16.0, "cy": 11.0},
            "cam2world": inverse.T.tolist(), "camera_view_matrix": np.vstack([matrix, [0, 0, 0, 1]]).T.tolist(),
            "location_world": camera_centre(matrix).tolist(),
            "camera_look_at": {"eye": centre, "at": [0, 0, 0], "up": [0, 0, 1]},
        }  # fmt: skip
        (scene / f"{number:05d}.json").write_text(json.dumps({"camera_data": camera | changes, "objects": []}))
        rgba = np.zeros((*HW, 4), np.float32)
        rgba[5:, :, :] = [0.5, 4.0, 0.0, 1.0]
        save_exr(scene / f"{number:05d}.exr", {"RGBA": rgba})
        save_exr(scene / f"{number:05d}.depth.exr", {"R": np.where(rgba[..., 3] > 0, 2.0, 1e5).astype(np.float32)})
    return root


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_pictures_of_openexr_are_read(tmp_path: Path, compression: str, kind: type) -> None:
    values = np.random.default_rng(0).normal(size=(*HW, 4)).astype(kind)
    values[3:8] = 0.25
    save_exr(tmp_path / "a.exr", {"RGBA": values}, compression)
    assert np.array_equal(read_exr(tmp_path / "a.exr", ("R", "G", "B", "A"), HW), values.astype(np.float64))


def test_scenes_are_converted(tmp_path: Path) -> None:
    dataset = Rtmv(write(tmp_path))
    truth = dataset.load("00001")
    view = truth.views[1]
    assert view.cam_from_world == pytest.approx(look_at_origin([0, 2.0, 0.5]))
    assert view.read()[10, 10].tolist() == [188, 255, 0, 255]
    assert view.read()[0, 0].tolist() == [0, 0, 0, 0]
    assert view.read_depth is not None
    depth = view.read_depth()
    assert np.isinf(depth[0]).all()
    x, y = (10.5 - 16) / 30, (10.5 - 11) / 31
    assert depth[10, 10] == pytest.approx(2.0 / np.sqrt(1 + x * x + y * y))


def test_the_depths_of_a_scene_are_its_mesh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evaluation.datasets.rtmv.HULL_SIZE", 48)
    truth = Rtmv(write_small_rtmv(tmp_path, scenes=1)).load("00000")
    assert truth.read_mesh is not None
    hull, grid = truth.read_mesh(), Grid.of_unit_cube(40)
    # Slanted faces lose up to a pixel of depth, and pictures of 48 pixels are coarse.
    assert volumetric_iou(parity_fill(hull, grid), parity_fill(SCENES["00000"], grid)) > 0.9


def test_a_mesh_beside_the_frames_is_the_truth(tmp_path: Path) -> None:
    scenes = Rtmv(write_small_rtmv(tmp_path, scenes=1))
    before = scenes.load("00000").digest()
    (tmp_path / "00000" / "mesh.ply").write_bytes(ply_bytes(SCENES["00000"]))
    truth = scenes.load("00000")
    assert truth.read_mesh is not None
    assert truth.read_mesh().vertices == pytest.approx(SCENES["00000"].vertices)
    assert truth.digest() != before


def test_without_a_box_or_a_depth_there_is_no_mesh(tmp_path: Path) -> None:
    assert Rtmv(write(tmp_path / "a")).load("00001").read_mesh is None
    (write_small_rtmv(tmp_path / "b", scenes=1) / "00000" / "00003.depth.exr").unlink()
    assert Rtmv(tmp_path / "b").load("00000").read_mesh is None


@pytest.mark.parametrize("box", [[0, 0], ["x", 0, 0], [0, 0, float("nan")], [-9, -9, -9], 7])
def test_a_wrong_box_is_refused(tmp_path: Path, box: object) -> None:
    path = write_small_rtmv(tmp_path, scenes=1) / "00000" / "00000.json"
    values = json.loads(path.read_text())
    values["camera_data"]["scene_max_3d_box"] = box
    path.write_text(json.dumps(values))
    truth = Rtmv(tmp_path).load("00000")
    assert truth.read_mesh is not None
    with pytest.raises(Failure, match=r"00000\.json: expected the box of a scene"):
        truth.read_mesh()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"location_world": [9, 9, 9]}, "location_world to agree"),
        ({"cam2world": np.eye(4).tolist()}, "camera_view_matrix to agree"),
        ({"cam2world": (2 * np.eye(4)).tolist()}, "a scale, a shear"),
        ({"intrinsics": {}}, "camera_data"),
    ],
)
def test_cameras_that_disagree_are_refused(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Failure, match=sentence):
        Rtmv(write(tmp_path, **changes)).load("00001")


def test_damaged_pictures_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.exr"
    save_exr(path, {"RGB": np.zeros((*HW, 3), np.float32)})
    with pytest.raises(Failure, match="expected 20 × 20"):
        read_exr(path, ("R",), (20, 20))
    with pytest.raises(Failure, match="expected channels Z"):
        read_exr(path, ("Z",), HW)
    for data in (b"", b"not a picture", path.read_bytes()[:-20], path.read_bytes()[:60]):
        path.write_bytes(data)
        with pytest.raises(Failure, match="expected an OpenEXR picture"):
            read_exr(path, ("R",), HW)
