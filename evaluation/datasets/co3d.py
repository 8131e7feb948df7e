"""CO3Dv2 (Reizenstein et al. 2021; CC BY-NC 4.0): sequences of real objects with cameras, masks and depths.

`CATEGORY/frame_annotations.jgz` lists frames. `CATEGORY/SEQUENCE/images`, `masks`, `depths` and `depth_masks` hold
their files. Cameras are PyTorch3D's: row vectors, x left, y up, z forward. Depth pictures hold 16-bit floats.
"""

import gzip
import json
from collections import defaultdict
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from base.errors import Failure
from base.storage import reason
from evaluation.datasets.base import UID, folders_of, inside
from evaluation.datasets.rigid import check_rigid
from evaluation.picture_files import read_depth_png, read_mask, read_picture
from evaluation.truth import Pinhole, TrueObject, TrueView

Floats = NDArray[np.float64]

MAX_ANNOTATIONS = 1 << 30
OPENGL_FROM_PYTORCH3D = np.diag([-1.0, 1.0, -1.0])


class Co3d:
    """The data set in a folder with a folder for each category. A uid is `CATEGORY-SEQUENCE`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def uids(self) -> tuple[str, ...]:
        """See `DataSet.uids`."""
        return tuple(sorted(self._frames))

    def load(self, uid: str) -> TrueObject:
        """See `DataSet.load`. Views are the frames of the sequence by number."""
        frames = sorted(self._frames.get(uid, []), key=lambda frame: int(frame["frame_number"]))
        if not frames:
            raise Failure(f"{uid}: expected frames in frame_annotations.jgz, got none")
        try:
            views = tuple(_view(self.root, frame) for frame in frames)
        except (KeyError, TypeError, ValueError) as error:
            raise Failure(f"{uid}: expected CO3D's annotations, got {error!r}") from None
        # Depths are left out: no metric of pictures depends on them.
        files = [inside(self.root, frame[part]["path"]) for frame in frames for part in ("image", "mask")]
        return TrueObject(uid=uid, views=views, files=tuple(path for path in files if path.is_file()))

    @cached_property
    def _frames(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for category in folders_of(self.root, "a folder for each category of CO3D"):
            path = self.root / category / "frame_annotations.jgz"
            for frame in _annotations(path) if path.is_file() else []:
                uid = f"{category}-{frame['sequence_name']}"
                if UID.fullmatch(uid):
                    found[uid].append(frame)
        return dict(found)


def _annotations(path: Path) -> list[dict[str, Any]]:
    try:
        with gzip.open(path) as stream:
            # A byte more, to see whether the stream goes on: a small gzip file can unpack without end.
            data = stream.read(MAX_ANNOTATIONS + 1)
        if len(data) > MAX_ANNOTATIONS:
            raise Failure(f"{path}: expected at most {MAX_ANNOTATIONS >> 20} MiB unpacked")
        values = json.loads(data)
    except (OSError, EOFError) as error:
        raise Failure(
            f"{path}: expected gzipped JSON, got: {reason(error) if isinstance(error, OSError) else error}"
        ) from None
    except (ValueError, RecursionError):
        raise Failure(f"{path}: expected gzipped JSON, got something else") from None
    if not isinstance(values, list) or not all(
        isinstance(value, dict) and "sequence_name" in value for value in values
    ):
        raise Failure(f"{path}: expected a list of frames, got something else")
    return values


def _view(root: Path, frame: dict[str, Any]) -> TrueView:
    hw = (int(frame["image"]["size"][0]), int(frame["image"]["size"][1]))
    image, mask = (inside(root, frame[part]["path"]) for part in ("image", "mask"))
    depth = frame.get("depth") or {}
    read_depth = None
    if depth.get("path"):
        files = (inside(root, depth["path"]), inside(root, depth["mask_path"]))
        read_depth = partial(_read_depth, *files, float(depth["scale_adjustment"]), hw)
    return TrueView(
        name=f"{int(frame['frame_number']):03d}",
        cam_from_world=_cam_from_world(frame["viewpoint"]),
        pinhole=_pinhole(frame["viewpoint"], hw),
        read=partial(_read, image, mask, hw),
        read_depth=read_depth,
    )


def _cam_from_world(viewpoint: dict[str, Any]) -> Floats:
    """Convert X_cam = X R + T of row vectors to a matrix (3, 4) of column vectors in OpenGL axes."""
    turn, shift = np.array(viewpoint["R"], np.float64), np.array(viewpoint["T"], np.float64)
    matrix = np.concatenate([turn.T, shift.reshape(3, 1)], axis=1)
    return check_rigid(OPENGL_FROM_PYTORCH3D @ matrix, "viewpoint", 1e-3)


def _pinhole(viewpoint: dict[str, Any], hw: tuple[int, int]) -> Pinhole:
    """Convert PyTorch3D's normalised intrinsics to pixels."""
    half = np.array([hw[1], hw[0]]) / 2.0
    form = viewpoint.get("intrinsics_format", "ndc_norm_image_bounds")
    # In one format each axis spans −1 to 1, in the other the shorter axis does.
    scale = {"ndc_norm_image_bounds": half, "ndc_isotropic": np.full(2, min(hw) / 2.0)}.get(form)
    if scale is None:
        raise Failure(f"viewpoint: expected ndc_norm_image_bounds or ndc_isotropic, got {str(form)[:40]!r}")
    focal = np.array(viewpoint["focal_length"], np.float64) * scale
    # PyTorch3D's x points left and its y up, both against pixels, hence the minus.
    centre = half - np.array(viewpoint["principal_point"], np.float64) * scale
    return Pinhole(fx=float(focal[0]), fy=float(focal[1]), cx=float(centre[0]), cy=float(centre[1]), hw=hw)


def _read(image: Path, mask: Path, hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Read RGB with the mask's probability as alpha."""
    return np.dstack([read_picture(image, hw)[..., :3], read_mask(mask, hw)])


def _read_depth(path: Path, mask: Path, scale: float, hw: tuple[int, int]) -> Floats:
    # The PNG's 16 bits are those of a half float, not an integer.
    depth = read_depth_png(path, hw).view(np.float16).astype(np.float64) * scale
    good = np.isfinite(depth) & (depth > 0.0) & (read_mask(mask, hw) > 0)
    return np.where(good, depth, np.inf)
