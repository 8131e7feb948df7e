"""Solids in closed form, against slow loops, and against the voxels of mesh2sdf on real scans."""

import json
from pathlib import Path

import numpy as np
import pytest

from base.digest import sha256_bytes
from evaluation.shapes.alignment import into_unit_cube
from evaluation.shapes.triangles import Triangles
from evaluation.shapes.voxels import Grid, parity_fill, ray_fill, volumetric_iou, winding_fill, winding_numbers
from tests.evaluation.shapes.solids import box_mesh, sphere_mesh
from tests.evaluation.shared import SD30, needs_sd30

GOLDEN = json.loads((Path(__file__).parent / "mesh2sdf_1.1.0.json").read_text())
FILLS = {"parity": parity_fill, "rays": ray_fill, "winding": winding_fill}


@pytest.mark.parametrize("fill", FILLS)
def test_a_box_fills_exactly_its_samples(fill: str) -> None:
    solid = FILLS[fill](box_mesh((0.3, 0.2, 0.4)), Grid.of_unit_cube(20))
    ticks = np.abs(-0.475 + np.arange(20) * 0.05)
    expected = (ticks < 0.3)[:, None, None] & (ticks < 0.2)[:, None] & (ticks < 0.4)
    assert np.array_equal(solid, expected)


@pytest.mark.parametrize("fill", FILLS)
def test_a_sphere_has_its_volume(fill: str) -> None:
    solid = FILLS[fill](sphere_mesh(0.45, 16), Grid.of_unit_cube(16))
    assert solid.mean() == pytest.approx(4 / 3 * np.pi * 0.45**3, rel=0.03)


def test_shifted_boxes_have_their_iou() -> None:
    grid = Grid.of_unit_cube(50)
    first, second = (parity_fill(box_mesh((0.2, 0.2, 0.2), (x, 0, 0)), grid) for x in (-0.1, 0.1))
    assert volumetric_iou(first, second) == pytest.approx(1 / 3)
    assert volumetric_iou(first, first) == 1.0
    assert volumetric_iou(first & ~first, first & ~first) == 0.0


def test_a_hole_harms_parity_more_than_votes_and_winding() -> None:
    sphere, grid = sphere_mesh(0.45, 12), Grid.of_unit_cube(16)
    whole = parity_fill(sphere, grid)
    left = np.nonzero(sphere.corners.mean(1)[:, 0].argsort() > 1)[0]
    holed = Triangles(sphere.vertices, sphere.faces[left])
    damage = {name: int((fill(holed, grid) != whole).sum()) for name, fill in FILLS.items()}
    assert damage["rays"] <= damage["parity"]
    assert damage["winding"] == 0


def test_winding_numbers_count_turns() -> None:
    sphere = sphere_mesh(0.5, 10)
    twice = Triangles(
        np.concatenate([sphere.vertices] * 2), np.concatenate([sphere.faces, sphere.faces + len(sphere.vertices)])
    )
    points = np.array([[0, 0, 0], [0.1, 0.2, 0.1], [0.7, 0, 0]])
    assert winding_numbers(sphere, points) == pytest.approx([1, 1, 0], abs=1e-12)
    assert winding_numbers(twice, points) == pytest.approx([2, 2, 0], abs=1e-12)


def slow_parity(mesh: Triangles, grid: Grid) -> np.ndarray:
    """Every sample against every triangle, for meshes in general position."""
    ticks = grid.start + grid.step * np.arange(grid.size)
    solid = np.zeros((grid.size,) * 3, bool)
    for j, y in enumerate(ticks):
        for k, z in enumerate(ticks):
            for a, b, c in mesh.corners:
                weights = np.linalg.solve(np.array([a, b, c]).T * [[0], [1], [1]] + [[1], [0], [0]], [1, y, z])
                if (weights >= 0).all():
                    solid[ticks >= weights @ [a[0], b[0], c[0]], j, k] ^= True
    return solid


def test_parity_is_that_of_a_slow_loop() -> None:
    rng = np.random.default_rng(5)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    box = box_mesh((0.31, 0.17, 0.23)).transformed(turn, 0.0123)
    grid = Grid.of_mesh2sdf(16)
    assert np.array_equal(parity_fill(box, grid), slow_parity(box, grid))
    assert np.array_equal(ray_fill(box, grid), slow_parity(box, grid))


@needs_sd30
@pytest.mark.parametrize("uid", GOLDEN)
def test_real_scans_fill_the_voxels_of_mesh2sdf(uid: str) -> None:
    arrays = np.load(SD30 / uid / "mesh.npz")
    mesh = into_unit_cube(Triangles(arrays["vertices"], arrays["faces"].astype(np.int64)))
    solid = parity_fill(mesh, Grid.of_mesh2sdf(64))
    assert (int(solid.sum()), sha256_bytes(np.packbits(solid).tobytes())) == (
        GOLDEN[uid]["voxels"],
        GOLDEN[uid]["sha256"],
    )
