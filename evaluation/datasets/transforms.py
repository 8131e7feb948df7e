"""Folders with `transforms.json`: nerfstudio, instant-ngp, NeRF, and `zero123 render --layout nerf`.

`UID/transforms.json` names its pictures in `frames`; `transform_matrix` is world_from_cam in OpenGL axes. Intrinsics
are per frame or for all: `fl_x`, `fl_y`, `cx`, `cy`, `w`, `h`, or `camera_angle_x` in radians. A mesh of the same
world, z up, may be beside it as `mesh.ply`, `mesh.obj`, `mesh.glb` or `mesh.npz`.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from base.errors import Failure
from evaluation.datasets.base import folders_of, inside, read_json_file
from evaluation.datasets.rigid import check_rigid
from evaluation.mesh_files import find_mesh, read_mesh
from evaluation.picture_files import SUFFIXES as PICTURES
from evaluation.picture_files import read_picture
from evaluation.truth import Pinhole, TrueObject, TrueView
from geometry.camera import world_from_cam

Floats = NDArray[np.float64]

NAMES = ("transforms.json", "transforms_render_mvs.json")
MAX_FRAMES = 10_000
ROUNDING = 1e-3
"""See `check_rigid`; other programs write few digits."""


class Transforms:
    """The data set in a folder with a folder for each object."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def uids(self) -> tuple[str, ...]:
        """See `DataSet.uids`."""
        return tuple(uid for uid in folders_of(self.root, "a folder for each object") if self._file(uid).is_file())

    def load(self, uid: str) -> TrueObject:
        """See `DataSet.load`."""
        path = self._file(uid)
        values = read_json_file(path)
        frames = values.get("frames") if isinstance(values, dict) else None
        if not isinstance(frames, list) or not 1 <= len(frames) <= MAX_FRAMES:
            raise Failure(f"{path}: expected 1 to {MAX_FRAMES} frames, got something else")
        try:
            views = tuple(_view(path.parent, values, frame, number) for number, frame in enumerate(frames))
        except (KeyError, TypeError, ValueError) as error:
            raise Failure(f"{path}: expected cameras of nerfstudio or NeRF, got {error!r}") from None
        mesh = find_mesh(path.parent / "mesh")
        pictures = [_picture(path.parent, frame["file_path"]) for frame in frames]
        return TrueObject(
            uid=uid,
            views=views,
            read_mesh=partial(read_mesh, mesh) if mesh else None,
            files=(path, *(picture for picture in pictures if picture.is_file()), *((mesh,) if mesh else ())),
        )

    def _file(self, uid: str) -> Path:
        return next((path for name in NAMES if (path := self.root / uid / name).is_file()), self.root / uid / NAMES[0])


def cam_from_world_of(matrix: Any) -> Floats:
    """Invert a world_from_cam (3 or 4, 4). Raises ValueError for a matrix that is no rotation and shift."""
    found = np.array(matrix, np.float64)
    if found.shape not in ((3, 4), (4, 4)) or not np.isfinite(found).all():
        raise ValueError(f"a matrix of shape {found.shape}")
    check_rigid(found[:3], "transform_matrix", ROUNDING)
    return np.asarray(world_from_cam(found[:3]))


def _view(folder: Path, values: dict[str, Any], frame: dict[str, Any], number: int) -> TrueView:
    picture = _picture(folder, frame["file_path"])
    # A frame's own intrinsics override those of the file.
    pinhole = _pinhole(values | frame, picture)
    return TrueView(
        name=f"{number:03d}",
        cam_from_world=cam_from_world_of(frame["transform_matrix"]),
        pinhole=pinhole,
        read=partial(_rgba, picture, pinhole.hw),
    )


def _pinhole(values: dict[str, Any], picture: Path) -> Pinhole:
    if {"w", "h"} <= values.keys():
        hw = (int(values["h"]), int(values["w"]))
    else:
        # NeRF's own files give no size, so the picture must.
        pixels = read_picture(picture)
        hw = (pixels.shape[0], pixels.shape[1])
    angle = values.get("camera_angle_x")
    fx = float(values["fl_x"]) if angle is None else hw[1] / (2.0 * np.tan(float(angle) / 2.0))
    fx = float(values.get("fl_x", fx))
    fy = float(values.get("fl_y", fx))
    return Pinhole(
        fx=float(fx), fy=fy, cx=float(values.get("cx", hw[1] / 2)), cy=float(values.get("cy", hw[0] / 2)), hw=hw
    )


def _picture(folder: Path, name: Any) -> Path:
    """Return a frame's picture. NeRF's own files have no suffix."""
    path = inside(folder, str(name))
    return path if path.suffix.lower() in PICTURES else path.with_name(f"{path.name}.png")


def _rgba(path: Path, hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Read RGBA. A picture without alpha shows its object everywhere."""
    pixels = read_picture(path, hw)
    return pixels if pixels.shape[-1] == 4 else np.dstack([pixels, np.full(hw, 255, np.uint8)])
