"""ESC-30 in the exact form on disk."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from base.errors import Failure
from evaluation.check import check_object
from evaluation.datasets.esc30 import HW, VIEWS, Esc30
from geometry.camera import PAPER_LENS, look_at_origin
from reconstruct.raster import rasterise
from tests.evaluation.shapes.solids import box_mesh

BOX = box_mesh((0.5, 0.3, 0.2))


def write(root: Path) -> Path:
    views = root / "bell" / "render_mvs_25" / "model"
    views.mkdir(parents=True)
    blank = np.zeros((*HW, 4), np.uint8)
    for number in range(VIEWS):
        camera = look_at_origin([1.7, 0.1 * number, 0.9])
        np.save(views / f"{number:03d}.npy", camera)
        pixels = blank.copy()
        if number < 2:
            pixels[..., 3] = (rasterise(BOX.vertices, BOX.faces, camera, PAPER_LENS, HW).face >= 0) * 255
        Image.fromarray(pixels).save(views / f"{number:03d}.png", compress_level=1)
    (root / "bell" / "meshes").mkdir()
    lines = [f"v {x} {y} {z}" for x, y, z in BOX.vertices * 4] + [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in BOX.faces]
    (root / "bell" / "meshes" / "model.obj").write_text("\n".join(lines))
    return root


def test_the_form_on_disk_is_read(tmp_path: Path) -> None:
    truth = Esc30(write(tmp_path)).load("bell")
    assert len(truth.views) == VIEWS
    assert truth.views[3].cam_from_world == pytest.approx(look_at_origin([1.7, 0.3, 0.9]))
    assert truth.read_mesh is not None
    first = type(truth)(uid="bell", views=truth.views[:2])
    assert [view.iou for view in check_object(first, truth.read_mesh())] == [1.0, 1.0]


@pytest.mark.parametrize("what", ["pickled", "huge", "broken"])
def test_a_hostile_camera_is_a_sentence(what: str, tmp_path: Path) -> None:
    camera = write(tmp_path) / "bell" / "render_mvs_25" / "model" / "004.npy"
    if what == "pickled":
        np.save(camera, np.array([{}], object), allow_pickle=True)
    elif what == "huge":
        with camera.open("wb") as stream:
            header = {"descr": "<f8", "fortran_order": False, "shape": (10**15, 12)}
            np.lib.format.write_array_header_1_0(stream, header)
    else:
        camera.write_bytes(camera.read_bytes().replace(b"(3, 4), }", b"(3, 4, }"))
    with pytest.raises(Failure, match=r"004\.npy: expected a matrix"):
        Esc30(tmp_path).load("bell")
