"""The solid left by depth pictures: closer than the silhouettes alone, and refusals."""

import numpy as np
import pytest

from evaluation.shapes.depth_fusion import depth_map
from evaluation.shapes.depth_hull import DepthView, depth_hull
from evaluation.shapes.health import measure_health
from evaluation.shapes.triangles import Triangles
from evaluation.shapes.voxels import Grid, parity_fill, volumetric_iou
from geometry.camera import PAPER_LENS, look_at_origin
from tests.evaluation.shapes.solids import box_mesh

HW = (96, 96)
CENTRES = np.array([[x, y, z] for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1) if (x, y, z) != (0, 0, 0)])
HALF = np.full(3, 0.5)


def seen(mesh: Triangles) -> list[DepthView]:
    cameras = [look_at_origin(1.6 * centre / np.linalg.norm(centre)) for centre in CENTRES]
    return [(depth_map(mesh, camera, PAPER_LENS, HW), camera, PAPER_LENS) for camera in cameras]


def bowl() -> Triangles:
    """A box with a deep pit in its top, which no silhouette shows."""
    box, pit = box_mesh((0.4, 0.4, 0.3)), box_mesh((0.25, 0.25, 0.25), (0.0, 0.0, 0.15))
    faces = [face for face in box.faces.tolist() if not np.isclose(box.vertices[face, 2], 0.3).all()]
    inner = [face[::-1] for face in pit.faces.tolist() if not np.isclose(pit.vertices[face, 2], 0.4).all()]
    vertices = np.concatenate([box.vertices, np.where(np.isclose(pit.vertices, 0.4), 0.3, pit.vertices)])
    ring = [(1, 5, 7, 3), (9, 13, 15, 11)]
    rim = [
        face
        for k in range(4)
        for a, b, c, d in [(ring[0][k], ring[0][(k + 1) % 4], ring[1][(k + 1) % 4], ring[1][k])]
        for face in ([a, b, c], [a, c, d])
    ]
    return Triangles(vertices, np.array(faces + [[i + 8 for i in face] for face in inner] + rim, np.int64))


def test_a_pit_is_open_as_in_the_truth() -> None:
    true = bowl()
    assert measure_health(true).open_edges == 0
    found = depth_hull(seen(true), -HALF, HALF, 48)
    assert measure_health(found).is_watertight
    grid = Grid.of_unit_cube(48)
    assert volumetric_iou(parity_fill(found, grid), parity_fill(true, grid)) > 0.93
    assert found.box[0] == pytest.approx([-0.4, -0.4, -0.3], abs=0.01)
    assert found.box[1] == pytest.approx([0.4, 0.4, 0.3], abs=0.01)


def test_what_no_camera_sees_stays_filled() -> None:
    """A single view from the front leaves all behind it."""
    front = seen(box_mesh((0.2, 0.2, 0.2)))
    camera = look_at_origin([1.6, 0.0, 0.0])
    one = [(depth_map(box_mesh((0.2, 0.2, 0.2)), camera, PAPER_LENS, HW), camera, PAPER_LENS)]
    low, high = depth_hull(one, -HALF, HALF, 32).box
    assert high[0] == pytest.approx(0.2, abs=0.02)
    assert low[0] == pytest.approx(-0.5, abs=0.02)
    assert depth_hull(front, -HALF, HALF, 32).box[0][0] == pytest.approx(-0.2, abs=0.02)


def test_nothing_and_a_flat_box_are_refused() -> None:
    empty = [(np.full(HW, np.inf), look_at_origin([1.6, 0.0, 0.0]), PAPER_LENS)]
    with pytest.raises(ValueError, match="an empty box"):
        depth_hull(empty, -HALF / 4, HALF / 4, 8)
    with pytest.raises(ValueError, match="a box with some extent"):
        depth_hull(empty, HALF, HALF, 8)
    with pytest.raises(ValueError, match="a box with some extent"):
        depth_hull(empty, HALF, -HALF, 8)
