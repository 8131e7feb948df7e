"""Depth maps of known shapes, their points, and thinning."""

import numpy as np
import pytest

from evaluation.shapes.depth_fusion import depth_map, fused_points, points_of_depth, thin_points
from geometry.camera import PAPER_LENS, look_at_origin
from tests.evaluation.shapes.solids import box_mesh, sphere_mesh


def test_the_front_of_a_box_has_its_depth_and_its_points() -> None:
    camera = look_at_origin([2.0, 0.0, 0.0])
    depth = depth_map(box_mesh((0.25, 0.25, 0.25)), camera, PAPER_LENS, (64, 64))
    seen = np.isfinite(depth)
    assert depth[seen] == pytest.approx(np.full(seen.sum(), 1.75))
    points = points_of_depth(depth, camera, PAPER_LENS, offset=0.5)
    assert points[:, 0] == pytest.approx(np.full(len(points), 0.25))
    assert np.abs(points[:, 1:]).max() <= 0.25
    assert points.mean(0) == pytest.approx([0.25, 0, 0], abs=1e-9)
    # SyncDreamer's rays pass the corners of pixels, so its points are half a pixel off.
    corner = points_of_depth(depth, camera, PAPER_LENS)
    half = 0.5 / PAPER_LENS.focal_px((64, 64)) * 1.75
    assert (points - corner) == pytest.approx(np.tile([0, half, -half], (len(points), 1)))


def test_points_of_a_sphere_are_on_it_and_only_where_seen() -> None:
    cameras = [look_at_origin([1.5, 0, 0]), look_at_origin([0, 1.5, 0])]
    points = fused_points(sphere_mesh(0.5, 80), cameras, PAPER_LENS, (128, 128), offset=0.5)
    # A voxel's mean lies below the curved surface, by at most a sagitta of (voxel diagonal)² / 8 r.
    assert np.linalg.norm(points, axis=1) == pytest.approx(np.full(len(points), 0.5), abs=2e-3)
    assert not ((points[:, 0] < 0) & (points[:, 1] < -0.4)).any()


def test_thinning_takes_the_mean_of_each_voxel() -> None:
    points = np.array([[0, 0, 0], [0.004, 0, 0], [0.02, 0, 0]])
    assert np.sort(thin_points(points, 0.01), axis=0) == pytest.approx(np.array([[0.002, 0, 0], [0.02, 0, 0]]))
    assert len(thin_points(np.zeros((0, 3)), 0.01)) == 0
