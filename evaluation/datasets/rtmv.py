"""RTMV (Tremblay et al. 2022, arXiv 2205.07058; CC BY-NC 4.0): scenes in linear light.

`SCENE/00000.exr` (RGBA, float), `00000.depth.exr` (distance along the ray), `00000.json`, numbered without gaps. The
JSON holds matrices by columns; the world is z up, cameras have OpenGL axes. The loader checks the cameras' redundant
fields against each other.

The scenes have no meshes. `SCENE/mesh.ply`, `.obj`, `.glb` or `.npz` in the scene's world, z up, is the truth where it
exists; else the solid left by all depth pictures inside the scene's box.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from base.errors import Failure
from evaluation.datasets.base import folders_of, read_json_file
from evaluation.datasets.rigid import ROUNDING, check_rigid
from evaluation.exr import read_exr
from evaluation.mesh_files import find_mesh, read_mesh
from evaluation.shapes.depth_hull import depth_hull
from evaluation.shapes.triangles import Triangles
from evaluation.truth import Pinhole, TrueObject, TrueView
from geometry.camera import world_from_cam
from geometry.colour import srgb_from_linear

Floats = NDArray[np.float64]

FAR = 1000.0
"""Rays of at least this length hit nothing."""
HULL_SIZE = 128
"""Voxels along the longest edge of a scene's box."""


class Rtmv:
    """The data set in a folder with a folder for each scene."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def uids(self) -> tuple[str, ...]:
        """See `DataSet.uids`."""
        scenes = folders_of(self.root, "a folder for each scene")
        return tuple(uid for uid in scenes if (self.root / uid / "00000.json").is_file())

    def load(self, uid: str) -> TrueObject:
        """See `DataSet.load`."""
        folder = self.root / uid
        cameras = sorted(path for path in folder.glob("[0-9]" * 5 + ".json"))
        if [path.stem for path in cameras] != [f"{number:05d}" for number in range(len(cameras))] or not cameras:
            raise Failure(f"{folder}: expected views numbered from 00000 without gaps, got {len(cameras)} files")
        views = tuple(_view(path) for path in cameras)
        mesh = find_mesh(folder / "mesh")
        files = [path.with_suffix(suffix) for path in cameras for suffix in (".json", ".exr", ".depth.exr")]
        return TrueObject(
            uid=uid,
            views=views,
            read_mesh=partial(read_mesh, mesh) if mesh else _hull_reader(cameras[0], views),
            files=(*(path for path in files if path.is_file()), *((mesh,) if mesh else ())),
        )


def _view(path: Path) -> TrueView:
    values = read_json_file(path)
    try:
        camera = values["camera_data"]
        pinhole = _pinhole(camera)
        matrix = _cam_from_world(camera, str(path))
    except (KeyError, TypeError, ValueError) as error:
        raise Failure(f"{path}: expected RTMV's camera_data, got {error!r}") from None
    depth = path.with_suffix(".depth.exr")
    return TrueView(
        name=path.stem,
        cam_from_world=matrix,
        pinhole=pinhole,
        read=partial(_read, path.with_suffix(".exr"), pinhole.hw),
        read_depth=partial(_read_depth, depth, pinhole) if depth.is_file() else None,
    )


def _hull_reader(path: Path, views: tuple[TrueView, ...]) -> Callable[[], Triangles] | None:
    """Return what carves the scene's box by its depth pictures; None where the box or a picture is missing."""
    camera = read_json_file(path)["camera_data"]
    if not {"scene_min_3d_box", "scene_max_3d_box"} <= camera.keys() or any(view.read_depth is None for view in views):
        return None
    return partial(_hull, path, camera, views)


def _hull(path: Path, camera: dict[str, Any], views: tuple[TrueView, ...]) -> Triangles:
    try:
        low, high = (np.array(camera[f"scene_{end}_3d_box"], np.float64).reshape(3) for end in ("min", "max"))
        pictures = (
            (view.read_depth(), *view.pinhole.centred(view.cam_from_world)) for view in views if view.read_depth
        )
        return depth_hull(pictures, low, high, HULL_SIZE)
    except (TypeError, ValueError) as error:
        raise Failure(f"{path}: expected the box of a scene and its depths, got: {error}") from None


def _pinhole(camera: dict[str, Any]) -> Pinhole:
    inner = {key: float(camera["intrinsics"][key]) for key in ("fx", "fy", "cx", "cy")}
    return Pinhole(**inner, hw=(int(camera["height"]), int(camera["width"])))


def _cam_from_world(camera: dict[str, Any], what: str) -> Floats:
    """Return the extrinsics (3, 4). Raises Failure when the camera's fields disagree."""
    from_cam, from_world = (np.array(camera[key], np.float64).T for key in ("cam2world", "camera_view_matrix"))
    if from_cam.shape != (4, 4) or from_world.shape != (4, 4):
        raise Failure(f"{what}: expected matrices (4, 4), got {from_cam.shape} and {from_world.shape}")
    check_rigid(from_cam[:3], f"{what}: cam2world")
    # Rounding of positions grows with their size, so differences are relative to it.
    scale = max(1.0, float(np.abs(from_cam[:3, 3]).max()))
    apart = {
        "camera_view_matrix": np.abs(from_world @ from_cam - np.eye(4)).max() / scale,
        "location_world": np.abs(np.array(camera["location_world"], np.float64) - from_cam[:3, 3]).max() / scale,
        "camera_look_at": np.abs(_backwards(camera["camera_look_at"]) - from_cam[:3, 2]).max(),
    }
    for name, difference in apart.items():
        # `not <=` instead of `>`: a NaN must fail too.
        if not difference <= ROUNDING:
            raise Failure(f"{what}: expected {name} to agree with cam2world, got a difference of {difference:.2g}")
    return np.asarray(world_from_cam(from_cam[:3]))


def _backwards(look_at: dict[str, Any]) -> Floats:
    backwards = np.array(look_at["eye"], np.float64) - np.array(look_at["at"], np.float64)
    return np.asarray(backwards / np.linalg.norm(backwards))


def _read(path: Path, hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Convert linear light to sRGB bytes with alpha. Values above 1 are clipped, as in a picture for a screen."""
    linear = read_exr(path, ("R", "G", "B", "A"), hw)
    rgb, alpha = srgb_from_linear(linear[..., :3]), np.clip(linear[..., 3:], 0.0, 1.0)
    return np.asarray(np.round(np.concatenate([rgb, alpha], axis=-1) * 255.0), np.uint8)


def _read_depth(path: Path, pinhole: Pinhole) -> Floats:
    """Convert lengths of rays to depths along the camera's axis."""
    length = read_exr(path, ("R",), pinhole.hw)[..., 0]
    height, width = pinhole.hw
    x = (np.arange(width) + 0.5 - pinhole.cx) / pinhole.fx
    y = (np.arange(height) + 0.5 - pinhole.cy) / pinhole.fy
    # A pixel's ray of depth 1 has this length.
    stretch = np.sqrt(1.0 + x[None, :] ** 2 + y[:, None] ** 2)
    return np.where(np.abs(length) < FAR, np.abs(length) / stretch, np.inf)
