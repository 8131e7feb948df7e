"""Read folders of views in three layouts: ours, NeRF's synthetic scenes, and the released data of Zero-1-to-3.

Folders are untrusted: arrays must not hold objects, images have limits, and no name may leave the folder.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from base.errors import Failure
from shards.arrays import read_npy
from shards.image import MAX_PIXELS, decode_rgba
from shards.sample import MAX_JSON_BYTES, view_suffix

Layout = Literal["views", "nerf", "legacy"]
TRANSFORMS = ("transforms.json", "transforms_train.json")
MAX_PICTURE_BYTES = 8 * MAX_PIXELS
MAX_CAMERA_BYTES = 1 << 20


@dataclass(frozen=True)
class FoundViews:
    """The views of a folder before decoding: the paths of `pictures`, and `extrinsics`."""

    folder: Path
    layout: Layout
    pictures: tuple[Path, ...]
    extrinsics: Float64[NDArray[np.float64], "V 3 4"]

    def image(self, view: int) -> NDArray[np.uint8]:
        """Decode a view to uint8 RGBA (H, W, 4). Raises Failure with the folder's name for an invalid picture."""
        path = self.pictures[view]
        with _reporting(self.folder):
            return decode_rgba(_bytes(path, MAX_PICTURE_BYTES), "WEBP" if path.suffix == ".webp" else "PNG")


@dataclass(frozen=True)
class Views:
    """The decoded views of a folder: `images` uint8 RGBA (H, W, 4), `extrinsics`, and the facts of views.json."""

    layout: Layout
    images: tuple[NDArray[np.uint8], ...]
    extrinsics: Float64[NDArray[np.float64], "V 3 4"]
    facts: dict[str, Any] = field(default_factory=dict)


def layout_of(folder: Path) -> Layout | None:
    """Detect the layout of a folder of views; None for any other folder.

    Sampled views have extrinsics.npy as well as transforms.json; the latter names their pictures.
    """
    if any((folder / name).is_file() for name in TRANSFORMS):
        return "nerf"
    if (folder / "extrinsics.npy").is_file():
        return "views"
    return "legacy" if (folder / "000.npy").is_file() and (folder / "000.png").is_file() else None


def find_views(folder: Path) -> FoundViews:
    """Find the views in `folder` in any layout. Raises Failure with the folder and the problem in it."""
    readers = {"views": _own, "nerf": _nerf, "legacy": _legacy}
    layout = layout_of(folder)
    with _reporting(folder):
        if layout is None:
            raise ValueError("no extrinsics.npy, no transforms.json and no 000.npy in it")
        pictures, cameras = readers[layout](folder)
        extrinsics = np.asarray(cameras, np.float64)
        if not len(pictures) or not np.isfinite(extrinsics).all():
            raise ValueError("views without cameras of finite numbers")
        return FoundViews(folder, layout, tuple(pictures), extrinsics)


def read_views(folder: Path) -> Views:
    """Read the views in `folder` and its views.json. Raises Failure as `find_views` does."""
    found = find_views(folder)
    images = tuple(found.image(view) for view in range(len(found.pictures)))
    with _reporting(folder):
        facts = _json(folder / "views.json") if (folder / "views.json").is_file() else {}
    return Views(found.layout, images, found.extrinsics, facts)


@contextmanager
def _reporting(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Failure(f"{folder}: expected a folder of rendered views, got: {error}") from None


def cam_from_transform(matrix: Any) -> Float64[NDArray[np.float64], "3 4"]:
    """Convert NeRF's `transform_matrix`, a world_from_cam (4, 4), to `cam_from_world`. Raises ValueError."""
    world_from_cam = np.asarray(matrix, np.float64)
    if world_from_cam.shape != (4, 4):
        raise ValueError(f"expected transform_matrix (4, 4), got {world_from_cam.shape}")
    # The inverse of a rotation is its transpose, without the rounding of a solver.
    rotation = world_from_cam[:3, :3].T
    return np.concatenate([rotation, -rotation @ world_from_cam[:3, 3:]], axis=1)


FoundFiles = tuple[list[Path], Any]
"""The paths of the pictures, and the camera of each."""


def _own(folder: Path) -> FoundFiles:
    extrinsics = read_npy(_bytes(folder / "extrinsics.npy", MAX_CAMERA_BYTES), (None, 3, 4), np.float64)
    return [folder / view_suffix(view) for view in range(len(extrinsics))], extrinsics


def _nerf(folder: Path) -> FoundFiles:
    frames = _json(next(folder / name for name in TRANSFORMS if (folder / name).is_file()))["frames"]
    paths = [_inside(folder, frame["file_path"]) for frame in frames]
    cameras = [cam_from_transform(frame["transform_matrix"]) for frame in frames]
    return paths, cameras


def _legacy(folder: Path) -> FoundFiles:
    # Zero-padded in the released data, so the order of texts is that of numbers.
    names = sorted(path.stem for path in folder.glob("*.npy") if path.stem.isdecimal())
    cameras = [read_npy(_bytes(folder / f"{name}.npy", MAX_CAMERA_BYTES), (3, 4), np.float64) for name in names]
    return [folder / f"{name}.png" for name in names], cameras


def _inside(folder: Path, name: str) -> Path:
    """Return the path of a frame's PNG or WebP; a name without suffix is a PNG."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
        raise ValueError(f"expected file_path inside the folder, got {name!r}")
    return folder / (name if name.lower().endswith((".png", ".webp")) else f"{name}.png")


def _bytes(path: Path, most: int) -> bytes:
    """Read a plain file. Raises ValueError beyond `most` bytes, and for pipes and devices, which might never end."""
    if not path.is_file():
        raise ValueError(f"no file {path.name} in it")
    if (size := path.stat().st_size) > most:
        raise ValueError(f"{path.name}: expected at most {most} bytes, got {size}")
    return path.read_bytes()


def _json(path: Path) -> dict[str, Any]:
    value = json.loads(_bytes(path, MAX_JSON_BYTES))
    if not isinstance(value, dict):
        raise ValueError(f"{path.name}: expected a mapping, got {type(value).__name__}")
    return value
