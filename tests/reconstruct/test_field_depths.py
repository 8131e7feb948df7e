"""A field that is a shell gets the surface of a solid ball from its depths."""

import numpy as np
import pytest
import torch
import trimesh
from torch import Tensor

from base.errors import Failure
from geometry.camera import PAPER_LENS
from reconstruct.field_depths import fuse_field
from reconstruct.finish import Photo, field_mesh
from reconstruct.mesh import Mesh
from reconstruct.simplify import mesh_facts
from reconstruct.viewpoints import draw_viewpoints
from tests.reconstruct.scenes import SphereField, small_settings, sphere_rgba

HW = (64, 64)


class ShellField(SphereField):
    """A ball with an empty inside that is open at the top."""

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
        density, colour = super().forward(points)
        hole = (points[:, :2].norm(dim=1) < 0.03) & (points[:, 2] > 0.0)
        return torch.where((points.norm(dim=1) < self.radius - 0.08) | hole, 0.0, density), colour


def volume(mesh: Mesh) -> float:
    return float(trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).volume)


def test_depths_of_a_shell_meet_at_its_outside() -> None:
    settings = small_settings().model_copy(update={"samples_per_ray": 96})
    cameras = draw_viewpoints(0, 1, (1.8, 1.8))
    photo = Photo(sphere_rgba(cameras[0], HW), cameras[0], PAPER_LENS)
    depths = settings.mesh.model_copy(update={"surface": "depths", "views": 12})
    field = ShellField(0.35, 200.0)
    fused, level = field_mesh(field, photo, settings.model_copy(update={"mesh": depths}), seed=0)
    assert level is None
    assert volume(fused) == pytest.approx(4.0 / 3.0 * np.pi * 0.35**3, rel=0.06)
    assert mesh_facts(fused).watertight
    by_density, level = field_mesh(field, photo, settings, seed=0)
    assert level == 20.0
    assert volume(by_density) < 0.7 * volume(fused)


def test_an_empty_field_is_a_clear_failure() -> None:
    cameras = draw_viewpoints(0, 4, (1.8, 1.8))
    with pytest.raises(Failure, match="got an empty field"):
        fuse_field(SphereField(0.35, 0.0), cameras, PAPER_LENS, HW, 24, small_settings().mesh)
