from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geometry.camera import camera_centre, look_at_origin
from geometry.relative import ordered_pairs, pose_from_deltas, pose_vector, relative_motion
from geometry.sphere import cartesian_from_spherical

polars = st.floats(1e-2, np.pi - 1e-2)
azimuths = st.floats(0.0, 2.0 * np.pi)
radii = st.floats(1.5, 2.2)
spots = st.tuples(polars, azimuths, radii)


def camera(spot: tuple[float, float, float]) -> np.ndarray:
    return look_at_origin(cartesian_from_spherical(*spot))


@given(spots, spots, st.tuples(*[st.floats(-1.0, 1.0)] * 3))
def test_r_and_t_take_a_point_from_input_to_target_camera(source: tuple, target: tuple, point: tuple) -> None:
    c, t = camera(source), camera(target)
    R, T = relative_motion(c, t)
    assert np.allclose(R @ R.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(R) == pytest.approx(1.0)
    in_c, in_t = (m[:, :3] @ np.array(point) + m[:, 3] for m in (c, t))
    assert np.allclose(R @ in_c + T, in_t, atol=1e-12)


@given(spots, spots, spots)
def test_going_by_way_of_a_third_camera_is_the_same_motion(a: tuple, b: tuple, c: tuple) -> None:
    R_ab, T_ab = relative_motion(camera(a), camera(b))
    R_bc, T_bc = relative_motion(camera(b), camera(c))
    R_ac, T_ac = relative_motion(camera(a), camera(c))
    assert np.allclose(R_bc @ R_ab, R_ac, atol=1e-12)
    assert np.allclose(R_bc @ T_ab + T_bc, T_ac, atol=1e-12)


@given(spots, spots)
def test_pose_is_the_difference_of_the_spherical_coordinates(source: tuple, target: tuple) -> None:
    pose = pose_vector(camera(source), camera(target))
    turn = target[1] - source[1]
    expected = [target[0] - source[0], np.sin(turn), np.cos(turn), target[2] - source[2]]
    assert np.allclose(pose, expected, atol=1e-9)


@given(spots, spots)
def test_pose_and_the_input_camera_give_the_target_camera_back(source: tuple, target: tuple) -> None:
    polar, sin, cos, radius = pose_vector(camera(source), camera(target))
    there = (source[0] + polar, source[1] + np.arctan2(sin, cos), source[2] + radius)
    assert np.allclose(camera(there), camera(target), atol=1e-6)


@given(spots)
def test_there_and_back_is_nowhere(spot: tuple) -> None:
    R, T = relative_motion(camera(spot), camera(spot))
    assert np.allclose(R, np.eye(3), atol=1e-12)
    assert np.allclose(T, 0.0, atol=1e-12)
    assert np.allclose(pose_vector(camera(spot), camera(spot)), [0, 0, 1, 0], atol=1e-12)


@given(polars, st.floats(-0.2, 0.2), radii)
def test_a_small_turn_across_azimuth_zero_stays_small(polar: float, turn: float, radius: float) -> None:
    pose = pose_vector(camera((polar, -turn / 2, radius)), camera((polar, turn / 2, radius)))
    assert np.allclose(pose, [0.0, np.sin(turn), np.cos(turn), 0.0], atol=1e-9)


@pytest.mark.parametrize(
    ("degrees", "moved"),
    [((-90.0, 0.0, 0.0), [0, 0, 2]), ((0.0, 90.0, 0.0), [0, 2, 0]), ((0.0, 0.0, 0.5), [2.5, 0, 0])],
)
def test_signs_are_those_of_the_original(degrees: tuple[float, float, float], moved: list[float]) -> None:
    """Negative polar is up, positive azimuth is to the camera's right, positive radius is away (notes §2)."""
    front, wanted = look_at_origin([2.0, 0.0, 0.0]), look_at_origin(moved)
    expected = pose_from_deltas(np.radians(degrees[0]), np.radians(degrees[1]), degrees[2])
    got = pose_vector(front, wanted)
    assert np.allclose(got, expected, atol=1e-12)
    if degrees[1]:
        assert front[0, :3] @ camera_centre(wanted) > 0.0


def test_over_a_pole_the_pose_is_finite_and_the_radius_is_kept() -> None:
    pose = pose_vector(look_at_origin([0.0, 0.0, 2.0]), look_at_origin([0.0, 0.0, -2.0]))
    assert np.allclose(pose, [np.pi, 0.0, 1.0, 0.0])


def test_training_ranges_are_those_of_the_notes() -> None:
    rng = np.random.default_rng(0)
    spots_ = zip(np.arccos(rng.uniform(-1, 1, 200)), rng.uniform(0, 7, 200), rng.uniform(1.5, 2.2, 200), strict=True)
    cameras = np.stack([camera(spot) for spot in spots_])
    source, target = ordered_pairs(range(200))
    pose = pose_vector(cameras[source], cameras[target])
    assert np.abs(pose[:, 0]).max() < np.pi
    assert np.abs(pose[:, 3]).max() <= 0.7
    assert np.allclose(np.hypot(pose[:, 1], pose[:, 2]), 1.0)


@pytest.mark.parametrize("views", [range(2), range(12), [1, 4, 5], [3]])
def test_every_ordered_pair_once(views: Sequence[int]) -> None:
    source, target = ordered_pairs(views)
    pairs = list(zip(source.tolist(), target.tolist(), strict=True))
    assert len(pairs) == len(views) * (len(views) - 1)
    assert pairs == sorted({(a, b) for a in views for b in views if a != b})
