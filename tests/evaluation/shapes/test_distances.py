"""Distances of point sets in closed form and against brute force."""

import numpy as np
import pytest

from evaluation.shapes.distances import chamfer_variants, f_scores, nearest_points, normal_consistency
from evaluation.shapes.triangles import Triangles, check_triangles, sample_surface
from tests.evaluation.shapes.solids import box_mesh, plane_mesh, sphere_mesh


def test_translated_planes_are_their_offset_apart() -> None:
    flat = np.stack([*np.indices((30, 30)).reshape(2, -1) / 30, np.zeros(900)], axis=1)
    found = nearest_points(flat + np.array([0, 0, 0.1]), flat)
    values = chamfer_variants(found)
    assert values == pytest.approx(
        {"accuracy": 0.1, "completeness": 0.1, "mean": 0.1, "sum": 0.2, "squared_mean": 0.01, "squared_sum": 0.02}
    )
    assert f_scores(found, [0.05, 0.1001]) == {0.05: (0.0, 0.0, 0.0), 0.1001: (1.0, 1.0, 1.0)}


def test_distance_of_concentric_spheres() -> None:
    rng = np.random.default_rng(0)
    inner, inner_normals = sample_surface(sphere_mesh(0.4), 20_000, rng)
    outer, outer_normals = sample_surface(sphere_mesh(0.5), 20_000, rng)
    found = nearest_points(inner, outer)
    # Sampled points are at most a little farther than the surfaces: half a spacing, squared, over the distance.
    assert chamfer_variants(found)["mean"] == pytest.approx(0.1, abs=2e-3)
    assert normal_consistency(found, inner_normals, outer_normals) == pytest.approx(1.0, abs=5e-3)


def test_two_thousand_points_of_a_sphere_have_a_floor() -> None:
    rng = np.random.default_rng(1)
    first, second = (sample_surface(sphere_mesh(), 2000, rng)[0] for _ in range(2))
    # The mean distance to the nearest of N uniform points on area A is √(A / N) / 2.
    assert chamfer_variants(nearest_points(first, second))["mean"] == pytest.approx(np.sqrt(np.pi / 2000) / 2, rel=0.05)


@pytest.mark.parametrize("norm", [1.0, 2.0])
def test_every_pair_compared_gives_the_same(norm: float) -> None:
    rng = np.random.default_rng(2)
    first, second = rng.random((150, 3)), rng.random((200, 3))
    apart = np.linalg.norm(first[:, None] - second[None], ord=norm, axis=-1)
    found = nearest_points(first, second, norm)
    assert np.allclose(found.to_true, apart.min(1))
    assert np.allclose(found.to_predicted, apart.min(0))
    precision, recall = (apart.min(1) <= 0.1).mean(), (apart.min(0) <= 0.1).mean()
    assert f_scores(found, [0.1])[0.1] == pytest.approx(
        (2 * precision * recall / (precision + recall), precision, recall)
    )


def test_surface_points_are_uniform_by_area() -> None:
    mesh = Triangles(
        np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 5], [3, 0, 5], [0, 3, 5.0]]), np.arange(6).reshape(2, 3)
    )
    points, normals = sample_surface(mesh, 40_000, np.random.default_rng(3))
    assert (points[:, 2] > 0).mean() == pytest.approx(0.9, abs=0.01)
    assert points[points[:, 2] > 0].mean(0) == pytest.approx([1, 1, 5], abs=0.03)
    assert np.abs(normals) == pytest.approx(np.tile([0, 0, 1.0], (40_000, 1)))


def test_normals_at_right_angles_agree_in_nothing() -> None:
    flat, _ = sample_surface(plane_mesh(0), 500, np.random.default_rng(4))
    found = nearest_points(flat, flat)
    up, across = np.tile([0, 0, 1.0], (500, 1)), np.tile([1.0, 0, 0], (500, 1))
    assert normal_consistency(found, up, -up) == 1.0
    assert normal_consistency(found, up, across) == 0.0


@pytest.mark.parametrize(
    ("vertices", "faces", "sentence"),
    [
        (np.zeros((3, 3)), np.zeros((0, 3), int), "with faces"),
        (np.full((3, 3), np.nan), np.array([[0, 1, 2]]), "finite"),
        (np.zeros((3, 3)), np.array([[0, 1, 2]]), "some extent"),
        (np.eye(3), np.array([[0, 1, 3]]), "vertices 0 to 2"),
    ],
)
def test_meshes_of_nothing_are_refused(vertices: np.ndarray, faces: np.ndarray, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        check_triangles(Triangles(vertices, faces), "chair")


def test_unused_vertices_are_dropped() -> None:
    box = box_mesh()
    far = Triangles(np.concatenate([box.vertices, [[np.nan, 0, 0]]]), box.faces)
    assert np.array_equal(check_triangles(far, "box").vertices, box.vertices)
