"""Fields as baselines: rays of any pinhole, and views of what was optimised."""

from pathlib import Path

import numpy as np
import torch

from evaluation.baselines import on_white
from evaluation.datasets.sd30 import Sd30
from evaluation.field_methods import FieldMethod, pinhole_rays
from evaluation.images.psnr import psnr_db
from evaluation.methods import Task
from evaluation.truth import Pinhole, TrueView
from geometry.camera import PAPER_LENS, look_at_origin
from reconstruct.rays import camera_rays
from reconstruct.sjc import ViewScore
from tests.evaluation.small_sd30 import write_small_sd30
from tests.reconstruct.scenes import small_settings

CAMERA = look_at_origin([0.9, -0.7, 1.1])


def view_with(pinhole: Pinhole) -> TrueView:
    return TrueView(name="0", cam_from_world=CAMERA, pinhole=pinhole, read=lambda: np.zeros((1, 1, 4), np.uint8))


def test_rays_of_a_centred_lens_are_those_of_reconstruct() -> None:
    expected = camera_rays(CAMERA, PAPER_LENS, (6, 8))
    for hw in ((6, 8), (60, 80)):
        found = pinhole_rays(view_with(Pinhole.of_lens(PAPER_LENS, hw)), (6, 8), "cpu")
        torch.testing.assert_close(found.origins, expected.origins)
        torch.testing.assert_close(found.directions, expected.directions)


def test_rays_of_a_shifted_centre_go_through_their_pixels() -> None:
    pinhole = Pinhole(fx=90.0, fy=110.0, cx=30.0, cy=22.0, hw=(48, 64))
    rays = pinhole_rays(view_with(pinhole), (48, 64), "cpu")
    points = (rays.origins + 1.7 * rays.directions).double().numpy()
    in_cam = points @ CAMERA[:, :3].T + CAMERA[:, 3]
    x = pinhole.cx + pinhole.fx * in_cam[:, 0] / -in_cam[:, 2]
    y = pinhole.cy - pinhole.fy * in_cam[:, 1] / -in_cam[:, 2]
    rows, columns = np.divmod(np.arange(48 * 64), 64)
    np.testing.assert_allclose(np.stack([x, y]), np.stack([columns + 0.5, rows + 0.5]), atol=1e-4)


class Nothing:
    """A judge without an opinion."""

    hw = (4, 4)

    def loss(self, images: torch.Tensor, which: list[int], done: float, generator: torch.Generator) -> torch.Tensor:
        return 0.0 * images.sum()


def field_method(work: Path) -> FieldMethod:
    def score(_rgba: np.ndarray, _count: int) -> ViewScore:
        return Nothing()

    values = small_settings()
    weights = values.weights.model_copy(update={"emptiness": 0.0, "colour": 50.0, "alpha": 50.0})
    return FieldMethod(
        score=score, digest="", hw=(32, 32), settings=values.model_copy(update={"weights": weights}),
        device=torch.device("cpu"), seed=0, work=work,
    )  # fmt: skip


def test_the_input_view_comes_back_and_the_mesh_is_in_the_cameras_world(tmp_path: Path) -> None:
    write_small_sd30(tmp_path / "sd30")
    truth = Sd30(tmp_path / "sd30").load("egg")
    method = field_method(tmp_path / "work")
    task = Task(truth, (4,), (4, 12), (64, 64))
    seen, behind = method.views(task)
    assert seen.shape == behind.shape == (64, 64, 3)
    small = np.asarray(on_white(truth.views[4].read())).reshape(64, 4, 64, 4, 3).mean((1, 3)) / 255.0
    assert psnr_db(seen / 255.0, small) > 20.0
    assert not list((tmp_path / "work").glob("*"))
    mesh = method.mesh(task)
    # Seen from the side of view 4, the egg's silhouette bounds the mesh in height: 1, the longest edge.
    assert 0.85 < np.ptp(mesh.vertices[:, 2]) < 1.05
