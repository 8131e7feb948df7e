"""An independent witness: rays cast with Embree through the same file, read by trimesh, from the stored cameras."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image
from trimesh.ray.ray_pyembree import RayMeshIntersector

from base.outcomes import Outcome
from base.passes import pass_file
from geometry.camera import Lens, camera_centre, ray_directions
from render.child import RenderChild
from render.run import render_views
from tests.render.conftest import EXAMPLES

SLOW = ("avocado", "burger", "stool", "van")
"""Objects with many faces, for the slow tests."""
Z_UP_FROM_Y_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
HW = (256, 256)


def normalised_mesh(path: Path) -> trimesh.Trimesh:
    """The file's faces in our world: z up, centred by its bounds, longest edge 1; by trimesh's reader alone."""
    mesh = trimesh.load(path, force="mesh")
    vertices = np.asarray(mesh.vertices) @ Z_UP_FROM_Y_UP.T
    used = vertices[np.unique(mesh.faces)]
    low, high = used.min(axis=0), used.max(axis=0)
    return trimesh.Trimesh((vertices - (low + high) / 2) / (high - low).max(), mesh.faces, process=False)


def cast_depth(caster: RayMeshIntersector, cam_from_world: np.ndarray, lens: Lens) -> np.ndarray:
    """How far along the camera's axis the centre of each pixel (H, W) meets the mesh; 0 where it does not."""
    directions = ray_directions(lens, HW).reshape(-1, 3) @ cam_from_world[:, :3]
    origins = np.broadcast_to(camera_centre(cam_from_world), directions.shape)
    points, rays, _ = caster.intersects_location(origins, directions, multiple_hits=False)
    depth = np.zeros(len(directions))
    depth[rays] = -(points @ cam_from_world[:, :3].T + cam_from_world[:, 3])[:, 2]
    return depth.reshape(HW)


@pytest.mark.parametrize("name", ["dog", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_silhouettes_and_depths_are_those_of_the_file(
    name: str, settings: Any, blender: RenderChild, tmp_path: Path
) -> None:
    chosen = settings(
        hw=list(HW), views=12, samples=8, denoise={"enabled": False}, bounces={"total": 0}, passes=["depth"]
    )
    result = render_views(blender, EXAMPLES / f"{name}.glb", name, chosen, 0, tmp_path / "out")
    assert result.outcome is Outcome.OK
    facts = json.loads((tmp_path / "out" / "views.json").read_text())
    caster = RayMeshIntersector(normalised_mesh(EXAMPLES / f"{name}.glb"))
    worst, off, seen_by_both = 1.0, 0, 0
    for number, camera in enumerate(np.load(tmp_path / "out" / "extrinsics.npy")):
        with Image.open(tmp_path / "out" / f"{number:02d}.webp") as picture:
            seen = np.array(picture)[..., 3] >= 128
        depth = np.load(tmp_path / "out" / pass_file(number, "depth"))
        cast = cast_depth(caster, camera, Lens(**facts["lens"]))
        worst = min(worst, float((seen & (cast > 0)).sum() / (seen | (cast > 0)).sum()))
        both = (depth > 0) & (cast > 0)
        seen_by_both += int(both.sum())
        off += int((np.abs(depth - cast)[both] > 0.01 * cast[both]).sum())
    assert worst >= 0.99, f"{name}: IoU {worst:.4f}"
    assert off <= 1e-4 * seen_by_both  # rays along an edge may meet either of two surfaces
