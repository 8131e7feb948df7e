"""Small scenes in the exact form of RTMV on disk, written by OpenEXR: a box each, seen from all around."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.shapes.depth_fusion import depth_of
from evaluation.shapes.triangles import Triangles
from evaluation.truth import Pinhole
from geometry.camera import PAPER_LENS, camera_centre, look_at_origin, world_from_cam
from reconstruct.raster import rasterise
from tests.evaluation.shapes.solids import box_mesh

SCENES = {"00000": box_mesh((0.5, 0.3, 0.4)), "00001": box_mesh((0.25, 0.5, 0.45))}
FRAMES, HW = 17, (48, 48)


def write_small_rtmv(root: Path, scenes: int = 2) -> Path:
    """Write the first scenes: pictures, depths along the rays, cameras, and the box of each scene."""
    pinhole = Pinhole.of_lens(PAPER_LENS, HW)
    for name in list(SCENES)[:scenes]:
        (root / name).mkdir(parents=True)
        for number, centre in enumerate(_centres()):
            write_frame(root / name / f"{number:05d}", SCENES[name], centre, pinhole)
    return root


def write_frame(stem: Path, mesh: Triangles, centre: NDArray[np.float64], pinhole: Pinhole) -> None:
    """Write the three files of a frame."""
    camera = look_at_origin(centre)
    raster = rasterise(mesh.vertices, mesh.faces, camera, PAPER_LENS, HW)
    seen = raster.face >= 0
    light = 0.2 + 0.6 * (raster.face // 2 % 3) / 2.0
    rgba = np.where(seen[..., None], np.stack([light, light**2, 1 - light, np.ones(HW)], axis=-1), 0.0)
    _save_exr(stem.with_suffix(".exr"), {"RGBA": rgba.astype(np.float32)})
    x = (np.arange(HW[1]) + 0.5 - pinhole.cx) / pinhole.fx
    y = (np.arange(HW[0]) + 0.5 - pinhole.cy) / pinhole.fy
    along_ray = depth_of(raster, mesh, camera) * np.sqrt(1 + x[None, :] ** 2 + y[:, None] ** 2)
    _save_exr(stem.with_suffix(".depth.exr"), {"R": np.where(seen, along_ray, 1e5).astype(np.float32)})
    low, high = mesh.box
    values = {**camera_values(camera, pinhole), "scene_min_3d_box": low.tolist(), "scene_max_3d_box": high.tolist()}
    stem.with_suffix(".json").write_text(json.dumps({"camera_data": values, "objects": []}))


def camera_values(matrix: NDArray[np.float64], pinhole: Pinhole) -> dict[str, Any]:
    """The camera's redundant fields, which agree."""
    inverse = np.vstack([world_from_cam(matrix), [0, 0, 0, 1]])
    inner = {"fx": pinhole.fx, "fy": pinhole.fy, "cx": pinhole.cx, "cy": pinhole.cy}
    return {
        "width": pinhole.hw[1], "height": pinhole.hw[0], "intrinsics": inner,
        "cam2world": inverse.T.tolist(), "camera_view_matrix": np.vstack([matrix, [0, 0, 0, 1]]).T.tolist(),
        "location_world": camera_centre(matrix).tolist(),
        "camera_look_at": {"eye": camera_centre(matrix).tolist(), "at": [0, 0, 0], "up": [0, 0, 1]},
    }  # fmt: skip


def _centres() -> NDArray[np.float64]:
    """Points on a sphere of radius 2, evenly spread (Fibonacci)."""
    number = np.arange(FRAMES)
    height = 1 - (2 * number + 1) / FRAMES
    angle = number * np.pi * (3 - np.sqrt(5))
    ring = np.sqrt(1 - height**2)
    return 2.0 * np.stack([ring * np.cos(angle), ring * np.sin(angle), height], axis=1)


def _save_exr(path: Path, channels: dict[str, NDArray[np.float32]]) -> None:
    import OpenEXR

    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, channels).write(str(path))
