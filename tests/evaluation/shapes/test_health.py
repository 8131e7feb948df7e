"""The health of meshes with known faults."""

import numpy as np
import pytest

from evaluation.shapes.health import measure_health
from evaluation.shapes.triangles import Triangles
from tests.evaluation.shapes.solids import box_mesh, plane_mesh


def test_a_box_is_healthy() -> None:
    health = measure_health(box_mesh((0.5, 1.0, 1.5)))
    assert health.is_watertight
    assert health.vertices == 8
    assert health.faces == 12
    assert health.parts == 1
    assert health.euler == 2
    assert (health.area, health.volume) == pytest.approx((22.0, 6.0))


def test_seams_are_no_holes() -> None:
    box = box_mesh()
    split = Triangles(box.corners.reshape(-1, 3), np.arange(36).reshape(-1, 3))
    assert measure_health(split).is_watertight
    assert measure_health(split).vertices == 8


def test_faults_are_counted() -> None:
    box = box_mesh()
    holed = measure_health(Triangles(box.vertices, box.faces[1:]))
    assert holed.open_edges == 3
    assert not holed.is_watertight
    flipped = box.faces.copy()
    flipped[0] = flipped[0, ::-1]
    assert measure_health(Triangles(box.vertices, flipped)).flipped_edges == 3
    assert measure_health(Triangles(box.vertices, box.faces[:, ::-1])).volume == pytest.approx(-1.0)
    fin = np.concatenate([box.faces, [[0, 1, 7]]])
    assert measure_health(Triangles(box.vertices, fin)).branching_edges == 2
    degenerate = np.concatenate([box.faces, [[0, 0, 7]]])
    assert measure_health(Triangles(box.vertices, degenerate)).flat_faces == 1
    two = Triangles(np.concatenate([box.vertices, box.vertices + 3]), np.concatenate([box.faces, box.faces + 8]))
    assert measure_health(two).parts == 2
    assert measure_health(plane_mesh(0)).open_edges == 4
