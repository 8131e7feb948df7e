import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from base.seeds import stable_rng
from geometry.sphere import (
    BLOCK,
    cartesian_from_spherical,
    cube_normalised,
    spherical_from_cartesian,
    stratified_block,
)


@given(st.floats(0.0, np.pi), st.floats(-20.0, 20.0), st.floats(0.1, 9.0))
def test_spherical_coordinates_round_trip(polar: float, azimuth: float, radius: float) -> None:
    point = cartesian_from_spherical(polar, azimuth, radius)
    again = cartesian_from_spherical(*spherical_from_cartesian(point))
    assert np.allclose(again, point, atol=1e-12 * radius + 1e-12)


@given(st.floats(1e-3, np.pi - 1e-3), st.floats(-20.0, 20.0))
def test_azimuth_is_in_one_turn_and_polar_is_measured_from_above(polar: float, azimuth: float) -> None:
    got_polar, got_azimuth, radius = spherical_from_cartesian(cartesian_from_spherical(polar, azimuth, 1.5))
    assert 0.0 <= got_azimuth <= 2.0 * np.pi
    assert got_polar == pytest.approx(polar)
    assert radius == pytest.approx(1.5)
    turn = (got_azimuth - azimuth + np.pi) % (2.0 * np.pi) - np.pi
    assert turn == pytest.approx(0.0, abs=1e-9)


def test_the_axes_have_the_coordinates_of_the_notes() -> None:
    polar, azimuth, radius = spherical_from_cartesian([[0, 0, 2], [0, 0, -2], [1, 0, 0], [0, 1, 0], [0, -1, 0]])
    assert np.allclose(polar, [0.0, np.pi, np.pi / 2, np.pi / 2, np.pi / 2])
    assert np.allclose(azimuth, [0.0, 0.0, 0.0, np.pi / 2, 3 * np.pi / 2])
    assert np.allclose(radius, [2, 2, 1, 1, 1])


@given(st.integers(0, 2**32))
def test_every_band_of_height_and_every_sector_holds_one_view(seed: int) -> None:
    points = stratified_block(np.random.default_rng(seed))
    assert np.allclose(np.linalg.norm(points, axis=1), 1.0)
    _, azimuth, _ = spherical_from_cartesian(points)
    bands = np.floor((points[:, 2] + 1.0) / 2.0 * BLOCK)
    sectors = np.floor(azimuth / (2.0 * np.pi) * BLOCK)
    assert sorted(bands) == list(range(BLOCK))
    assert sorted(sectors) == list(range(BLOCK))


def elevation_mass(points: np.ndarray) -> np.ndarray:
    elevation = np.degrees(np.arcsin(points[:, 2]))
    return np.histogram(elevation, bins=[-90, -60, -30, 0, 30, 60, 90])[0] / len(points)


def test_stratified_views_are_uniform_by_area() -> None:
    rng = stable_rng(0, "test")
    points = np.concatenate([stratified_block(rng) for _ in range(4000)])
    assert np.allclose(elevation_mass(points), [0.067, 0.183, 0.25, 0.25, 0.183, 0.067], atol=0.004)


def test_cube_sampling_avoids_poles() -> None:
    points = cube_normalised(stable_rng(0, "test"), 100_000)
    assert np.allclose(elevation_mass(points), [0.044, 0.236, 0.221, 0.221, 0.235, 0.044], atol=0.006)


def test_results_do_not_depend_on_memory_alignment() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(132, 3))
    neighbours = [bytes(50) for _ in range(50)]
    seen = set()
    for _ in range(1000):
        neighbours[rng.integers(50)] = bytes(rng.integers(1, 5000))
        seen.add(np.stack(spherical_from_cartesian(points.copy())).tobytes())
    assert len(seen) == 1
