import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geometry.camera import (
    PAPER_LENS,
    Lens,
    camera_centre,
    look_at_origin,
    project,
    ray_directions,
    world_from_cam,
)
from geometry.sphere import cartesian_from_spherical

radii = st.floats(0.5, 5.0)
polars = st.floats(1e-3, np.pi - 1e-3)
azimuths = st.floats(-10.0, 10.0)
centres = st.builds(cartesian_from_spherical, polars, azimuths, radii)


@given(centres)
def test_a_camera_looks_at_the_origin_with_its_up_upwards(centre: np.ndarray) -> None:
    matrix = look_at_origin(centre)
    rotation, translation = matrix[:, :3], matrix[:, 3]
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    assert np.allclose(translation, [0.0, 0.0, -np.linalg.norm(centre)], atol=1e-9)
    assert rotation[1, 2] >= 0.0  # up in the world is up in the image
    assert rotation[0, 2] == pytest.approx(0.0, abs=1e-12)  # no roll
    assert np.allclose(camera_centre(matrix), centre, atol=1e-12)


@given(centres)
def test_world_from_cam_undoes_cam_from_world(centre: np.ndarray) -> None:
    matrix = look_at_origin(centre)
    inverse = world_from_cam(matrix)
    assert np.allclose(matrix[:, :3] @ inverse[:, :3], np.eye(3), atol=1e-12)
    assert np.allclose(matrix[:, :3] @ inverse[:, 3] + matrix[:, 3], 0.0, atol=1e-12)
    assert np.allclose(world_from_cam(np.stack([matrix, matrix]))[1], inverse)


@pytest.mark.parametrize("z", [1.7, -1.7])
def test_camera_at_the_poles(z: float) -> None:
    at_pole = look_at_origin([0.0, 0.0, z])
    nearby = look_at_origin([1e-7, 0.0, z])
    assert np.allclose(at_pole, nearby, atol=1e-6)


def test_a_camera_at_the_origin_is_refused() -> None:
    with pytest.raises(ValueError, match="away from the origin"):
        look_at_origin([0.0, 0.0, 0.0])


def test_the_papers_lens_spans_49_134_degrees() -> None:
    assert np.degrees(PAPER_LENS.fov_rad) == pytest.approx(49.134, abs=5e-4)


def test_a_camera_on_the_x_axis_sees_y_right_and_z_up() -> None:
    camera = look_at_origin([2.0, 0.0, 0.0])
    lens = Lens(focal_mm=32.0, sensor_mm=32.0)
    seen = project([[0.0, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.5]], camera, lens, (100, 200))
    assert np.allclose(seen, [[100.0, 50.0], [150.0, 50.0], [100.0, 0.0]])


def test_what_is_behind_the_camera_has_no_place_in_the_image() -> None:
    assert np.isnan(project([[3.0, 0.0, 0.0]], look_at_origin([2.0, 0.0, 0.0]), PAPER_LENS, (64, 64))).all()


@given(centres, st.sampled_from([(5, 7), (8, 8), (9, 4)]), st.floats(0.1, 4.0))
def test_rays_through_pixel_centres_project_back_to_them(centre: np.ndarray, hw: tuple[int, int], depth: float) -> None:
    camera = look_at_origin(centre)
    directions = ray_directions(PAPER_LENS, hw)
    assert np.all(directions[..., 2] == -1.0)
    in_world = directions.reshape(-1, 3) * depth @ camera[:, :3] + centre
    row, column = np.mgrid[: hw[0], : hw[1]]
    expected = np.stack([column, row], axis=-1).reshape(-1, 2) + 0.5
    assert np.allclose(project(in_world, camera, PAPER_LENS, hw), expected, atol=1e-6)
