"""The voxel field: interpolation, refinement, and the gate that the input's alpha makes."""

import math

import numpy as np
import torch

from geometry.camera import PAPER_LENS, look_at_origin
from reconstruct.field import SilhouetteGate, VoxelField
from tests.reconstruct.scenes import sphere_alpha


def test_values_stand_at_x_y_z() -> None:
    field = VoxelField(4, 0.5, density_scale=10.0, gate=None)
    with torch.no_grad():
        field.density[0, 0, 3, 1, 0] = 20.0  # z = 3, y = 1, x = 0
    centre = torch.tensor([[-0.375, -0.125, 0.375]])
    torch.testing.assert_close(field(centre)[0].detach(), torch.tensor([200.0]))
    torch.testing.assert_close(field(-centre)[0].detach(), torch.tensor([10.0 * math.log(2.0)]))


def test_a_finer_grid_says_the_same() -> None:
    field = VoxelField(8, 0.5, density_scale=10.0, gate=None)
    ramp = torch.linspace(-2.0, 2.0, 8)
    with torch.no_grad():
        field.density.copy_(ramp.view(1, 1, 1, 1, 8).expand_as(field.density))
    finer = field.resample(16)
    points = torch.rand(100, 3, generator=torch.Generator().manual_seed(0)) * 0.8 - 0.4
    assert finer.resolution == 16
    torch.testing.assert_close(finer(points)[0], field(points)[0], atol=1e-3, rtol=1e-3)


def test_the_gate_is_the_inputs_visual_hull() -> None:
    camera, hw = look_at_origin([1.2, 0.9, 0.8]), (128, 128)
    alpha = torch.tensor(sphere_alpha(camera, hw).astype(np.float32))
    gate = SilhouetteGate(alpha, torch.tensor(camera), 2.0 * PAPER_LENS.focal_px(hw) / 128)
    on_sphere = torch.nn.functional.normalize(torch.randn(500, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    assert (gate(0.32 * on_sphere) > 0.99).all()
    assert float(gate(torch.tensor([[0.0, 0.0, 0.5]]))) == 0.0
    field = VoxelField(4, 0.5, density_scale=1.0, gate=gate)
    assert field.is_allowed(0.32 * on_sphere).all()
    assert float(field(torch.tensor([[0.0, 0.0, 0.5]]))[0].detach()) == 0.0
