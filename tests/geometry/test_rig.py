"""Rigs: the shipped ones against their sources' formulas, and what moves and cameras they mean."""

from pathlib import Path

import numpy as np
import pytest

from base.data_files import read_data_file, read_named
from base.errors import UsageError
from geometry.camera import PAPER_LENS, Lens, Orthographic, camera_centre, look_at_origin, project
from geometry.relative import pose_from_deltas, pose_vector
from geometry.rig import RIGS, Rig, RigCamera, Viewpoint, lens_of_fov, place_cameras, rig_names, same_framing_radius
from geometry.sphere import cartesian_from_spherical, spherical_from_cartesian

INPUT = Viewpoint(polar_rad=float(np.deg2rad(75.0)), radius=1.9)


def shipped(name: str) -> Rig:
    return read_named(Rig, name, RIGS, "--rig")


def draws(rig: Rig, seed: int = 0) -> list[np.random.Generator]:
    return [np.random.default_rng([seed, number]) for number in range(len(rig.cameras))]


def moves_deg(name: str, origin: Viewpoint = INPUT) -> np.ndarray:
    rig = shipped(name)
    moves = rig.moves(origin, PAPER_LENS, draws(rig))
    return np.concatenate([np.rad2deg(moves[:, :2]), moves[:, 2:]], axis=1)


def turns(azimuth_deg: np.ndarray) -> np.ndarray:
    return np.mod(azimuth_deg + 1e-3, 360.0) - 1e-3


def test_the_names_are_those_of_the_guide() -> None:
    assert rig_names() == ["gradio", "orbit", "sphere", "spiral", "sv3d", "syncdreamer", "zero123plus"]


def test_zero123plus_has_six_views_at_absolute_heights() -> None:
    moves = moves_deg("zero123plus")
    assert np.allclose(moves[:, 1], 30.0 + 60.0 * np.arange(6))
    assert np.allclose(90.0 - (75.0 + moves[:, 0]), [20.0, -10.0] * 3)  # elevations
    assert np.allclose(moves[:, 2], 0.0)
    assert shipped("zero123plus").lens(0).fov_rad == pytest.approx(np.deg2rad(30.0))


def test_syncdreamer_is_a_ring_of_sixteen_at_30_degrees_and_1_5() -> None:
    moves = moves_deg("syncdreamer")
    assert np.allclose(moves[:, 1], 22.5 * np.arange(16))
    assert np.allclose(75.0 + moves[:, 0], 60.0)
    assert np.allclose(1.9 + moves[:, 2], 1.5)
    lens = shipped("syncdreamer").lens(0)
    assert isinstance(lens, Lens)
    assert lens.focal_px((256, 256)) == pytest.approx(280.0)


def test_sv3d_goes_once_around_and_ends_at_the_input() -> None:
    moves = moves_deg("sv3d")
    expected = np.linspace(0, 360, 21 + 1)[1:] % 360
    assert np.allclose(turns(moves[:, 1]), expected, atol=1e-3)
    assert np.allclose(moves[:, [0, 2]], 0.0)


def test_gradio_rig_has_six_cameras() -> None:
    rig = shipped("gradio")
    assert [camera.name for camera in rig.cameras] == ["left", "above", "right", "random", "below", "behind"]
    moves = moves_deg("gradio")
    fixed = [(0, -90), (-90, 0), (0, 90), None, (90, 0), (0, 180)]
    assert all(wanted is None or np.allclose(move[:2], wanted) for wanted, move in zip(fixed, moves, strict=True))
    drawn = np.array([rig.moves(INPUT, PAPER_LENS, draws(rig, seed))[3] for seed in range(400)])
    polar, azimuth = np.rad2deg(drawn[:, 0]), np.rad2deg(drawn[:, 1])
    assert np.abs(polar).max() <= 80.0
    assert np.abs(azimuth).max() <= 150.0
    # The original's polar angle is asin(U(-1, 1))·160/π, whose median distance from 0 is 80/3.
    assert np.median(np.abs(polar)) == pytest.approx(80.0 / 3.0, abs=4.0)
    assert np.median(np.abs(azimuth)) == pytest.approx(75.0, abs=10.0)


def test_orbit_sphere_and_spiral_follow_their_formulas() -> None:
    orbit, sphere, spiral = moves_deg("orbit"), moves_deg("sphere"), moves_deg("spiral")
    assert np.allclose(orbit, [[0.0, 15.0 * step, 0.0] for step in range(24)])
    heights = np.cos(np.deg2rad(75.0 + sphere[:, 0]))
    assert np.allclose(np.sort(heights), (np.arange(32) + 0.5) / 16.0 - 1.0, atol=1e-4)
    nearest = cartesian_from_spherical(np.deg2rad(75.0 + sphere[:, 0]), np.deg2rad(sphere[:, 1]), 1.0)
    angles = np.rad2deg(np.arccos(np.clip(nearest @ nearest.T - 2.0 * np.eye(32), -1.0, 1.0))).min(1)
    assert angles.min() > 20.0  # no two directions close together: 32 even ones are about 38° apart
    assert np.all(np.diff(spiral[:, 0]) < 0.0)
    assert np.allclose(turns(spiral[:, 1]), np.mod(22.5 * np.arange(48), 360.0))


def test_moves_and_extrinsics_are_of_the_same_cameras() -> None:
    for name in rig_names():
        rig = shipped(name)
        assert rig.reference is not None
        origin = Viewpoint(
            polar_rad=float(np.deg2rad(rig.reference.polar_deg)),
            azimuth_rad=float(np.deg2rad(rig.reference.azimuth_deg)),
            radius=rig.reference.radius,
        )
        lens = rig.lens(0)
        assert isinstance(lens, Lens)
        moves = rig.moves(origin, lens, draws(rig))
        cameras = rig.extrinsics(draws(rig))
        start = look_at_origin(cartesian_from_spherical(origin.polar_rad, origin.azimuth_rad, origin.radius))
        inside = np.abs(origin.polar_rad + moves[:, 0] - np.pi / 2) < np.pi / 2 - 1e-3
        told = pose_from_deltas(moves[:, 0], moves[:, 1], moves[:, 2])
        assert np.allclose(pose_vector(start, cameras)[inside], told[inside], atol=1e-6), name


def test_an_unknown_height_is_refused_only_where_it_counts() -> None:
    unknown = Viewpoint(polar_rad=None)
    assert np.allclose(moves_deg("orbit", unknown), moves_deg("orbit"))
    with pytest.raises(ValueError, match="expected the input's elevation"):
        moves_deg("sphere", unknown)


def test_another_lens_is_sampled_from_where_it_frames_alike() -> None:
    rig = Rig(cameras=(RigCamera(polar_deg=90, azimuth_deg=0, radius=3.8),), fov_deg=20.0)
    (move,) = rig.moves(Viewpoint(polar_rad=np.pi / 2, radius=0.0), PAPER_LENS, draws(rig))
    lens = rig.lens(0)
    assert isinstance(lens, Lens)
    point = [[0.0, 0.3, -0.2]]  # in the plane through the origin that both cameras face
    far, near = (look_at_origin([radius, 0.0, 0.0]) for radius in (3.8, move[2]))
    assert np.allclose(project(point, far, lens, (256, 256)), project(point, near, PAPER_LENS, (256, 256)))
    assert same_framing_radius(1.0, PAPER_LENS, PAPER_LENS) == 1.0


def test_orthographic_cameras() -> None:
    rig = Rig(cameras=(RigCamera(polar_deg=60, azimuth_deg=30, radius=2.0, orthographic_width=1.5),))
    lens = rig.lens(0)
    assert lens == Orthographic(width=1.5)
    (camera,) = rig.extrinsics(draws(rig))
    away = camera_centre(camera) / np.linalg.norm(camera_centre(camera))
    point = np.array([0.1, -0.2, 0.3])
    first, second = project([point, point - 0.5 * away], camera, lens, (100, 200))
    assert np.allclose(first, second)
    right = camera[0, :3]
    assert np.allclose(project([0.75 * right], camera, lens, (100, 200)), [[200.0, 50.0]])
    with pytest.raises(ValueError, match="expected perspective cameras"):
        rig.moves(INPUT, PAPER_LENS, draws(rig))


def test_a_camera_beyond_the_pole_is_at_the_pole() -> None:
    cameras = place_cameras(np.array([[-0.5, 1.0, 2.0], [4.0, 1.0, 2.0]]))
    polar, _, radius = spherical_from_cartesian(camera_centre(cameras))
    assert np.allclose(polar, [0.0, np.pi], atol=1e-4)
    assert np.allclose(radius, 2.0)
    with pytest.raises(ValueError, match="expected radii above 0"):
        place_cameras(np.array([[1.0, 1.0, 0.0]]))


def test_relative_rig_needs_a_reference() -> None:
    rig = Rig(cameras=(RigCamera(polar_deg=0, azimuth_deg=0, radius=0),), relative=("polar", "azimuth", "radius"))
    with pytest.raises(ValueError, match="expected a reference"):
        rig.extrinsics(draws(rig))


def test_lenses_by_field_of_view() -> None:
    assert lens_of_fov(PAPER_LENS.fov_rad).focal_mm == pytest.approx(35.0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cameras: []\n", "expected 1 to 999 cameras"),
        ("cameras: [{polar_deg: 200, azimuth_deg: 0, radius: 1}]\n", "expected cameras.0.polar_deg from 0 to 180"),
        ("cameras: [{polar_deg: 20, azimuth_deg: 0, radius: 0}]\n", "expected cameras.0.radius above 0"),
        ("cameras: [{polar_deg: 2, azimuth_deg: 0, radius: 1, spread_radius: 2}]\n", "cameras.0.radius above 0"),
        ("cameras:\n  - {polar_deg: 2, azimuth_deg: 0, radius: 1, spread_polar_deg: -1}\n", ":2: cameras.0: expected"),
        (
            "cameras:\n  - {polar_deg: 2, azimuth_deg: 0, radius: 1, elevation: 1}\n",
            ":2: cameras.0.elevation: expected",
        ),
        ("fov_deg: 180\ncameras: [{polar_deg: 2, azimuth_deg: 0, radius: 1}]\n", "expected fov_deg between 0 and 180"),
        ("fov_deg: 30\northographic_width: 1\ncameras: [{polar_deg: 2, azimuth_deg: 0, radius: 1}]\n", "not both"),
    ],
)
def test_a_rig_with_a_mistake_is_one_sentence(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "rig.yaml").write_text(text)
    with pytest.raises(UsageError) as caught:
        read_data_file(Rig, tmp_path / "rig.yaml")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
