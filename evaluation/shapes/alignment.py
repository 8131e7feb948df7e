"""Named steps to bring a predicted mesh into the frame of the truth: normalisation, turns, ICP.

A protocol lists the steps by name. `none` keeps the mesh as it is.
"""

import itertools
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from evaluation.shapes.triangles import Triangles

Floats = NDArray[np.float64]
Step = Literal["none", "unit-cube", "turns-12", "turns-24", "icp"]

ICP_ROUNDS = 50
ICP_ENOUGH = 1e-9
"""ICP ends when the mean squared distance falls by less than this share."""


def into_unit_cube(mesh: Triangles) -> Triangles:
    """Scale and move a mesh: longest edge of its box 1, centre of its box at the origin."""
    low, high = mesh.box
    scale = float((high - low).max())
    return Triangles((mesh.vertices - (low + high) / 2.0) / scale, mesh.faces)


def turn_about_z(azimuth_rad: float) -> Floats:
    """Return the rotation (3, 3) by an angle counter-clockwise about +z."""
    cos, sin = float(np.cos(azimuth_rad)), float(np.sin(azimuth_rad))
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def cube_turns() -> list[Floats]:
    """Return the 24 rotations of a cube onto itself, the identity first."""
    turns = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            matrix = np.zeros((3, 3))
            matrix[range(3), order] = signs
            if np.linalg.det(matrix) > 0.0:
                turns.append(matrix)
    # The identity has the greatest trace, so a tie keeps the mesh as it is.
    return sorted(turns, key=lambda turn: -float(np.trace(turn)))


def axis_turns() -> list[Floats]:
    """Return the 12 turns of EscherNet's search: 0, 90, 180 and 270 degrees about x, y or z. Some are the same."""
    quarter = turn_about_z(np.pi / 2.0).round()
    about_z = [np.linalg.matrix_power(quarter, k) for k in range(4)]
    # The cycle x → y → z turns a rotation about z into one about x, then y.
    cycle = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    return [
        np.linalg.matrix_power(cycle, k) @ turn @ np.linalg.matrix_power(cycle, k).T
        for k in range(3)
        for turn in about_z
    ]


def best_turn(points: Floats, true: Floats, turns: Sequence[Floats]) -> Floats:
    """Return the first of `turns` with the least mean distance, both ways, of points (P, 3) to points (T, 3)."""
    tree = cKDTree(true)

    def apart(turn: Floats) -> float:
        turned = points @ turn.T
        return float(tree.query(turned)[0].mean() + cKDTree(turned).query(true)[0].mean())

    # Rounding keeps the choice of a symmetric object the same on every machine.
    return min(turns, key=lambda turn: round(apart(turn), 9))


def rigid_fit(points: Floats, true: Floats) -> tuple[Floats, Floats]:
    """Return rotation (3, 3) and shift (3,) with the least squared distance of paired points (Kabsch 1976)."""
    centre, true_centre = points.mean(axis=0), true.mean(axis=0)
    u, _, vt = np.linalg.svd((points - centre).T @ (true - true_centre))
    # The best orthogonal matrix may be a mirror; flipping its weakest axis gives the best rotation.
    mirror = np.diag([1.0, 1.0, float(np.sign(np.linalg.det(vt.T @ u.T)))])
    turn = vt.T @ mirror @ u.T
    return turn, true_centre - turn @ centre


def icp(points: Floats, true: Floats) -> tuple[Floats, Floats]:
    """Return rotation and shift of points onto the truth by iterative closest points (Besl and McKay 1992)."""
    tree, turn, shift, before = cKDTree(true), np.eye(3), np.zeros(3), np.inf
    for _ in range(ICP_ROUNDS):
        moved = points @ turn.T + shift
        distances, index = tree.query(moved)
        error = float(np.square(distances).mean())
        # The error falls in every round, until it stops at a local minimum.
        if error >= (1.0 - ICP_ENOUGH) * before:
            break
        before = error
        turn, shift = rigid_fit(points, true[index])
    return turn, shift


def align(mesh: Triangles, points: Floats, true: Floats, step: Step) -> Triangles:
    """Apply a step to a mesh with surface points (P, 3) towards the truth's surface points (T, 3)."""
    if step == "unit-cube":
        return into_unit_cube(mesh)
    if step in ("turns-12", "turns-24"):
        return mesh.transformed(best_turn(points, true, axis_turns() if step == "turns-12" else cube_turns()))
    if step == "icp":
        return mesh.transformed(*icp(points, true))
    return mesh
