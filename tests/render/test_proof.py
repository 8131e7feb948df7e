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
from geometry.camera import Lens, camera_centre, ray_directions
from render.child import RenderChild
from render.run import render_object
from tests.render.conftest import EXAMPLES

SOLID = ("avocado", "burger", "dog", "stool", "van")
Z_UP_FROM_Y_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
HW = (256, 256)


def normalised_mesh(path: Path) -> trimesh.Trimesh:
    """The file's faces in our world: z up, centred by its bounds, longest edge 1; by trimesh's reader alone."""
    mesh = trimesh.load(path, force="mesh")
    vertices = np.asarray(mesh.vertices) @ Z_UP_FROM_Y_UP.T
    used = vertices[np.unique(mesh.faces)]
    low, high = used.min(axis=0), used.max(axis=0)
    return trimesh.Trimesh((vertices - (low + high) / 2) / (high - low).max(), mesh.faces, process=False)


def hit_mask(caster: RayMeshIntersector, cam_from_world: np.ndarray, lens: Lens) -> np.ndarray:
    """Which pixels' centres see the mesh, (H, W)."""
    directions = ray_directions(lens, HW).reshape(-1, 3) @ cam_from_world[:, :3]
    origins = np.broadcast_to(camera_centre(cam_from_world), directions.shape)
    return np.asarray(caster.intersects_any(origins, directions)).reshape(HW)


@pytest.mark.parametrize("name", SOLID)
def test_the_silhouettes_are_those_of_the_file(name: str, settings: Any, blender: RenderChild, tmp_path: Path) -> None:
    chosen = settings(hw=list(HW), views=12, samples=8, denoise={"enabled": False}, bounces={"total": 0})
    result = render_object(blender, EXAMPLES / f"{name}.glb", name, chosen, 0, tmp_path / "out")
    assert result.outcome is Outcome.OK
    facts = json.loads((tmp_path / "out" / "views.json").read_text())
    caster = RayMeshIntersector(normalised_mesh(EXAMPLES / f"{name}.glb"))
    worst = 1.0
    for number, camera in enumerate(np.load(tmp_path / "out" / "extrinsics.npy")):
        with Image.open(tmp_path / "out" / f"{number:02d}.webp") as picture:
            seen = np.array(picture)[..., 3] >= 128
        cast = hit_mask(caster, camera, Lens(**facts["lens"]))
        worst = min(worst, float((seen & cast).sum() / (seen | cast).sum()))
    assert worst >= 0.99, f"{name}: IoU {worst:.4f}"
