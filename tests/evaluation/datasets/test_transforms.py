"""transforms.json: what `geometry.transforms` writes is read back, and files of strangers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from base.errors import Failure
from evaluation.check import check_object
from evaluation.datasets.transforms import Transforms
from evaluation.mesh_files import ply_bytes
from geometry.camera import PAPER_LENS, look_at_origin
from geometry.transforms import nerf_transforms
from reconstruct.raster import rasterise
from tests.evaluation.shapes.solids import box_mesh

HW, BOX = (40, 64), box_mesh((0.2, 0.5, 0.3))


def write(folder: Path, **changes: Any) -> Path:
    cameras = np.stack([look_at_origin(centre) for centre in ([1.6, 0.2, 0.5], [-1, 1.2, 0.3])])
    (folder / "crate").mkdir(parents=True)
    for number, camera in enumerate(cameras):
        seen = rasterise(BOX.vertices, BOX.faces, camera, PAPER_LENS, HW).face >= 0
        rgba = np.dstack([np.full((*HW, 3), 90), seen * 255]).astype(np.uint8)
        Image.fromarray(rgba).save(folder / "crate" / f"v{number}.png")
    values = nerf_transforms(cameras, ["v0.png", "v1.png"], PAPER_LENS, HW)
    (folder / "crate" / "transforms.json").write_text(json.dumps(values | changes))
    (folder / "crate" / "mesh.ply").write_bytes(ply_bytes(BOX))
    return folder


def test_what_we_write_is_read_and_agrees_with_the_mesh(tmp_path: Path) -> None:
    dataset = Transforms(write(tmp_path))
    truth = dataset.load("crate")
    assert dataset.uids() == ("crate",)
    assert truth.views[0].cam_from_world == pytest.approx(look_at_origin([1.6, 0.2, 0.5]))
    assert truth.read_mesh is not None
    assert [view.iou for view in check_object(truth, truth.read_mesh())] == [1.0, 1.0]
    assert len(truth.files) == 4


def test_nerf_has_an_angle_and_no_suffix(tmp_path: Path) -> None:
    root = write(tmp_path)
    path = root / "crate" / "transforms.json"
    values = json.loads(path.read_text())
    frames = [{**frame, "file_path": f"./v{k}"} for k, frame in enumerate(values["frames"])]
    path.write_text(json.dumps({"camera_angle_x": values["camera_angle_x"], "frames": frames}))
    pinhole = Transforms(root).load("crate").views[0].pinhole
    assert (pinhole.fx, pinhole.cx, pinhole.cy) == pytest.approx((PAPER_LENS.focal_px(HW), 32, 20))


def test_a_shifted_centre_projects_as_told(tmp_path: Path) -> None:
    """An off-centre crop has the same silhouette as the same part of the whole picture."""
    camera = look_at_origin([1.6, 0.2, 0.5])
    whole = rasterise(BOX.vertices, BOX.faces, camera, PAPER_LENS, (64, 64)).face >= 0
    root = write(tmp_path)
    Image.fromarray(np.dstack([np.zeros((50, 40, 3)), whole[5:55, 12:52] * 255]).astype(np.uint8)).save(
        root / "crate" / "v0.png"
    )
    path = root / "crate" / "transforms.json"
    values = json.loads(path.read_text())
    values |= {"w": 40, "h": 50, "cx": 32 - 12, "cy": 32 - 5, "frames": values["frames"][:1]}
    path.write_text(json.dumps(values))
    truth = Transforms(root).load("crate")
    assert truth.read_mesh is not None
    assert check_object(truth, truth.read_mesh())[0].iou == 1.0


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"frames": []}, "1 to 10000 frames"),
        ({"frames": [{"file_path": "../v0.png", "transform_matrix": np.eye(4).tolist()}]}, "inside the folder"),
        ({"frames": [{"file_path": "v0.png", "transform_matrix": (2 * np.eye(4)).tolist()}]}, "a scale, a shear"),
        ({"frames": [{"file_path": "v0.png"}]}, "transform_matrix"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Failure, match=sentence):
        Transforms(write(tmp_path, **changes)).load("crate")
