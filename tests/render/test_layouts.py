"""Views as other tools want them: the same pixels, and cameras that see the same points in the same place."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from geometry.camera import Lens, project
from render.child import RenderChild
from render.layouts import LAYOUTS, convert_views
from render.run import render_views
from tests.render.conftest import EXAMPLES

POINTS = np.random.default_rng(0).uniform(-0.4, 0.4, (20, 3))


@pytest.fixture(scope="module")
def laid_out(settings: Any, blender: RenderChild, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same wide views in every layout."""
    folders = {layout: tmp_path_factory.mktemp(layout) for layout in LAYOUTS}
    for layout, folder in folders.items():
        render_views(blender, EXAMPLES / "avocado.glb", "avocado", settings(hw=[32, 48], passes=["depth"]), 0, folder)
        convert_views(folder, layout)
    return folders


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        assert picture.mode == "RGBA"
        return np.array(picture)


@pytest.mark.parametrize("layout", ["nerf", "legacy"])
def test_the_pixels_stay(laid_out: dict[str, Path], layout: str) -> None:
    facts = json.loads((laid_out[layout] / "views.json").read_text())
    assert [view["file"] for view in facts["views"]] == ["000.png", "001.png"]
    for number in range(2):
        ours = pixels(laid_out["views"] / f"{number:02d}.webp")
        assert np.array_equal(ours, pixels(laid_out[layout] / f"{number:03d}.png"))
        depth = (laid_out["views"] / f"{number:02d}.depth.npy").read_bytes()
        assert depth == (laid_out[layout] / f"{number:03d}.depth.npy").read_bytes()
    assert not list(laid_out[layout].glob("*.webp"))


def test_the_released_layout_has_our_cameras(laid_out: dict[str, Path]) -> None:
    extrinsics = np.load(laid_out["views"] / "extrinsics.npy")
    for number, camera in enumerate(extrinsics):
        found = np.load(laid_out["legacy"] / f"{number:03d}.npy", allow_pickle=False)
        assert (found.shape, found.dtype) == ((3, 4), np.float64)
        assert np.array_equal(found, camera)


def test_nerfs_cameras_see_points_where_ours_do(laid_out: dict[str, Path]) -> None:
    """Projected as NeRF does: world to camera by the inverse of `transform_matrix`, focal length from the angle."""
    transforms = json.loads((laid_out["nerf"] / "transforms.json").read_text())
    extrinsics = np.load(laid_out["views"] / "extrinsics.npy")
    facts = json.loads((laid_out["views"] / "views.json").read_text())
    width, height = transforms["w"], transforms["h"]
    focal = 0.5 * width / np.tan(0.5 * transforms["camera_angle_x"])
    assert focal == pytest.approx(transforms["fl_x"])
    for frame, camera in zip(transforms["frames"], extrinsics, strict=True):
        cam = np.linalg.inv(np.array(frame["transform_matrix"])) @ np.c_[POINTS, np.ones(len(POINTS))].T
        seen = np.stack([width / 2 + focal * cam[0] / -cam[2], height / 2 - focal * cam[1] / -cam[2]], axis=1)
        assert np.allclose(seen, project(POINTS, camera, Lens(**facts["lens"]), (height, width)), atol=1e-9)
        assert (laid_out["nerf"] / frame["file_path"]).is_file()
