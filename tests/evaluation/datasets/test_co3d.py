"""CO3Dv2 in the exact form on disk, with its cameras checked by a projection written out."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from base.errors import Failure
from evaluation.datasets.co3d import Co3d
from geometry.camera import project

HW = (30, 50)
TURN, SHIFT = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]), np.array([0.1, -0.2, 3.0])
FOCAL, CENTRE = (1.5, 2.5), (0.1, -0.2)


def write(root: Path, **viewpoint: Any) -> Path:
    folder = root / "chair" / "12_34_56"
    for part in ("images", "masks", "depths", "depth_masks"):
        (folder / part).mkdir(parents=True)
    Image.fromarray(np.full((*HW, 3), 80, np.uint8)).save(folder / "images" / "frame000007.jpg")
    Image.fromarray(np.full(HW, 200, np.uint8)).save(folder / "masks" / "frame000007.png")
    depth = np.full(HW, 2.0, np.float16)
    depth[0] = np.inf
    Image.fromarray(depth.view(np.uint16)).save(folder / "depths" / "frame000007.jpg.geometric.png")
    valid = np.ones(HW, bool)
    valid[1] = False
    Image.fromarray(valid).save(folder / "depth_masks" / "frame000007.png")
    base = "chair/12_34_56"
    frame = {
        "sequence_name": "12_34_56", "frame_number": 3, "frame_timestamp": 0.1,
        "image": {"path": f"{base}/images/frame000007.jpg", "size": list(HW)},
        "mask": {"path": f"{base}/masks/frame000007.png", "mass": 10.0},
        "depth": {
            "path": f"{base}/depths/frame000007.jpg.geometric.png", "scale_adjustment": 1.5,
            "mask_path": f"{base}/depth_masks/frame000007.png",
        },
        "viewpoint": {
            "R": TURN.tolist(), "T": SHIFT.tolist(), "focal_length": FOCAL, "principal_point": CENTRE,
            "intrinsics_format": "ndc_norm_image_bounds", **viewpoint,
        },
    }  # fmt: skip
    (root / "chair" / "frame_annotations.jgz").write_bytes(gzip.compress(json.dumps([frame]).encode()))
    return root


@pytest.mark.parametrize("form", ["ndc_norm_image_bounds", "ndc_isotropic"])
def test_cameras_project_as_pytorch3d_says(tmp_path: Path, form: str) -> None:
    truth = Co3d(write(tmp_path, intrinsics_format=form)).load("chair-12_34_56")
    view = truth.views[0]
    point = np.array([0.3, 0.4, 0.2])
    # PyTorch3D: X_cam = X R + T; normalised x is to the left, y up; the image spans [−1, 1] or min(H, W).
    x, y, z = point @ TURN + SHIFT
    half = np.array([HW[1], HW[0]]) / 2 if form == "ndc_norm_image_bounds" else np.full(2, min(HW) / 2)
    expected = np.array([HW[1], HW[0]]) / 2 - (np.array([FOCAL[0] * x, FOCAL[1] * y]) / z + CENTRE) * half
    matrix, lens = view.pinhole.centred(view.cam_from_world)
    assert project(point[None], matrix, lens, HW)[0] == pytest.approx(expected)


def test_masks_and_depths_are_read(tmp_path: Path) -> None:
    dataset = Co3d(write(tmp_path))
    assert dataset.uids() == ("chair-12_34_56",)
    view = dataset.load("chair-12_34_56").views[0]
    assert view.name == "003"
    assert view.read()[..., 3].min() == 200
    assert view.read_depth is not None
    depth = view.read_depth()
    assert np.isinf(depth[:2]).all()
    assert (depth[2:] == 3.0).all()


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="ndc_norm_image_bounds or ndc_isotropic"):
        Co3d(write(tmp_path / "a", intrinsics_format="pixels")).load("chair-12_34_56")
    with pytest.raises(Failure, match="a scale, a shear"):
        Co3d(write(tmp_path / "b", R=(2 * TURN).tolist())).load("chair-12_34_56")
    (tmp_path / "c" / "chair").mkdir(parents=True)
    (tmp_path / "c" / "chair" / "frame_annotations.jgz").write_bytes(b"no gzip")
    with pytest.raises(Failure, match="gzipped JSON"):
        Co3d(tmp_path / "c").uids()
