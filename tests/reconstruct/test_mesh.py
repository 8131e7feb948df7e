"""From a ball of density to a mesh, its silhouette, its pictures and its file."""

import numpy as np
import pytest
import torch
import trimesh

from base.errors import Failure
from base.progress import SILENT
from geometry.camera import PAPER_LENS, look_at_origin
from reconstruct.field import SilhouetteGate
from reconstruct.mesh import Mesh, extract, input_agreement, keep_large_parts
from reconstruct.rays import camera_rays
from reconstruct.silhouette import silhouette
from reconstruct.turntable import depth_frame, picture, turntable
from tests.reconstruct.scenes import SphereField, small_settings, sphere_alpha

CAMERAS = [look_at_origin(centre) for centre in ([1.6, 0.0, 0.5], [-0.4, 1.2, -1.3], [0.0, 0.0, 2.0])]


@pytest.fixture(scope="module")
def ball() -> Mesh:
    return extract(SphereField(0.35, 200.0), small_settings().mesh).mesh


def test_the_surface_is_where_the_ball_ends(ball: Mesh) -> None:
    radii = np.linalg.norm(ball.vertices, axis=1)
    assert abs(radii.mean() - 0.35) < 0.01
    assert radii.std() < 0.01
    outwards = (ball.normals * ball.vertices / radii[:, None]).sum(1)
    assert outwards.min() > 0.8


def test_faces_turn_outwards_and_close(ball: Mesh) -> None:
    shape = trimesh.Trimesh(ball.vertices, ball.faces, process=False)
    assert shape.is_watertight
    assert 0.9 < shape.volume / (4 / 3 * np.pi * 0.35**3) < 1.1


def test_colours_are_the_fields(ball: Mesh) -> None:
    upper, lower = ball.vertices[:, 2] > 0.1, ball.vertices[:, 2] < -0.1
    assert (ball.colours[upper] == (255, 0, 0)).all()
    assert (ball.colours[lower] == (0, 0, 255)).all()


def test_an_object_that_fills_the_cube_is_closed() -> None:
    mesh = extract(SphereField(2.0, 200.0), small_settings().mesh).mesh
    assert trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).is_watertight
    assert np.abs(mesh.vertices).max() < 0.55


def test_an_empty_field_is_a_clear_failure() -> None:
    with pytest.raises(Failure, match="expected a field with something solid"):
        extract(SphereField(0.0, 0.0), small_settings().mesh)


def test_the_input_decides_the_level() -> None:
    """A faint ball has no surface at the first level and the right silhouette at the second."""
    camera = CAMERAS[0]
    alpha = torch.tensor(sphere_alpha(camera, (64, 64)).astype(np.float32))
    faint = SphereField(0.35, 12.0)
    faint.gate = SilhouetteGate(alpha, torch.tensor(camera), 2.0 * PAPER_LENS.focal_px((64, 64)) / 64)
    extracted = extract(faint, small_settings().mesh)
    assert extracted.level == 5.0
    assert input_agreement(extracted.mesh, faint.gate) > 0.9
    with pytest.raises(Failure):
        extract(faint, small_settings().mesh.model_copy(update={"levels": (20.0,)}))


def test_specks_go_and_hollows_fill() -> None:
    grid = np.zeros((24, 24, 24), np.float32)
    grid[4:14, 4:14, 4:14] = 1.0
    grid[7:10, 7:10, 7:10] = 0.0
    grid[20, 20, 20] = 0.9
    kept = keep_large_parts(grid, keep_fraction=0.05)
    assert kept[8, 8, 8] == 1.0
    assert kept[20, 20, 20] == 0.0
    assert (kept > 0.5).sum() == 1000


@pytest.mark.parametrize("camera", CAMERAS)
def test_the_silhouette_of_a_ball(ball: Mesh, camera: np.ndarray) -> None:
    ours, true = silhouette(ball, camera, PAPER_LENS, (96, 80)), sphere_alpha(camera, (96, 80))
    assert (ours & true).sum() / (ours | true).sum() > 0.95


def test_the_silhouette_is_what_rays_hit() -> None:
    """Against rays that are cut with a box's three pairs of faces, pixel by pixel."""
    extents = np.array([0.8, 0.3, 0.5])
    box = trimesh.creation.box(extents=extents)
    mesh = Mesh(box.vertices, box.faces, box.vertex_normals, np.zeros((8, 3), np.uint8))
    for camera in CAMERAS:
        rays = camera_rays(camera, PAPER_LENS, (40, 40))
        origins, directions = rays.origins.numpy().astype(float), rays.directions.numpy() + 1e-12
        first, second = (-extents / 2 - origins) / directions, (extents / 2 - origins) / directions
        hit = np.minimum(first, second).max(1) < np.maximum(first, second).min(1)
        assert (silhouette(mesh, camera, PAPER_LENS, (40, 40)).reshape(-1) == hit).mean() > 0.998


def test_pictures_show_the_near_side(ball: Mesh) -> None:
    above = picture(ball, look_at_origin([0.0, 0.0, 1.9]), PAPER_LENS, (48, 48))
    below = picture(ball, look_at_origin([0.0, 0.0, -1.9]), PAPER_LENS, (48, 48))
    assert above[24, 24, 0] > 200
    assert above[24, 24, 2] < 20
    assert below[24, 24, 2] > 200
    assert above[0, 0, 3] == 0
    assert above[24, 24, 3] == 255


def test_depths_and_normals_turn_along(ball: Mesh) -> None:
    """The ball's nearest point looks at the camera."""
    settings = small_settings().turntable
    turn = turntable(ball, PAPER_LENS, settings, SILENT)
    around = turn["normal"][:, 20:28, 20:28, :3].mean((1, 2))
    assert (np.abs(around - np.array([128.0, 128.0, 250.0])) < 8).all()
    assert (turn["normal"][:, 24, 30, 0] > 180).all()
    assert (turn["normal"][:, 17, 24, 1] > 180).all()
    middle = (slice(None), 24, 24)
    radius = np.abs(ball.vertices).max()
    nearest = depth_frame(np.full((1, 1), settings.radius - radius), np.full((1, 1), 255, np.uint8), settings.radius)
    assert (np.abs(turn["depth"][middle][:, 0].astype(int) - int(nearest[0, 0, 0])) <= 3).all()
    assert (turn["depth"][:, 0, 0, 3] == 0).all()


def test_the_turntable_turns(ball: Mesh) -> None:
    settings = small_settings().turntable
    frames = turntable(ball, PAPER_LENS, settings, SILENT)["picture"]
    assert frames.shape == (4, 48, 48, 4)
    assert frames.dtype == np.uint8
