"""Alignment: turns found again, ICP on a moved shape, the unit cube."""

import numpy as np
import pytest

from evaluation.shapes.alignment import align, axis_turns, best_turn, cube_turns, icp, into_unit_cube, turn_about_z
from evaluation.shapes.triangles import Triangles, sample_surface
from tests.evaluation.shapes.solids import box_mesh


def lopsided(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    parts = [box_mesh((0.5, 0.2, 0.1)), box_mesh((0.1, 0.1, 0.3), (0.3, 0.1, 0.2))]
    return np.concatenate([sample_surface(part, 1500, rng)[0] for part in parts])


def test_a_cube_has_24_turns_and_the_search_12() -> None:
    turns = cube_turns()
    assert len({turn.tobytes() for turn in turns}) == 24
    assert np.array_equal(turns[0], np.eye(3))
    assert all(np.linalg.det(turn) == pytest.approx(1) for turn in turns)
    assert len(axis_turns()) == 12
    assert len({(turn + 0.0).tobytes() for turn in axis_turns()}) == 10
    assert turn_about_z(np.pi / 2) @ [1, 0, 0] == pytest.approx([0, 1, 0])


@pytest.mark.parametrize("number", [0, 5, 11, 23])
def test_a_turned_shape_is_turned_back(number: int) -> None:
    turn = cube_turns()[number]
    found = best_turn(lopsided() @ turn.T, lopsided(1), cube_turns())
    assert found @ turn == pytest.approx(np.eye(3))


def test_icp_finds_a_small_move() -> None:
    points, (c, s) = np.random.default_rng(7).normal(size=(300, 3)), (np.cos(0.1), np.sin(0.1))
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    moved = points @ turn.T + [0.02, -0.03, 0.01]
    back, shift = icp(moved, points)
    assert moved @ back.T + shift == pytest.approx(points, abs=1e-6)


def test_the_unit_cube_ignores_unused_vertices() -> None:
    box = box_mesh((1, 2, 3), (5, 5, 5))
    mesh = into_unit_cube(Triangles(np.concatenate([box.vertices, [[99, 99, 99]]]), box.faces))
    assert np.array(mesh.box) == pytest.approx(np.array([[-1 / 6, -1 / 3, -0.5], [1 / 6, 1 / 3, 0.5]]))
    assert align(box, lopsided(), lopsided(), "none") is box
