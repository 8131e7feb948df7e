"""Folders of views as people have them: our own, NeRF's synthetic scenes, the released data of Zero-1-to-3.

Every folder is foreign until checked: arrays without objects, images within limits, no name that leaves the folder.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
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
    """What a folder holds before any pixel is decoded: where the `pictures` are, and `extrinsics` (V, 3, 4)."""

    folder: Path
    layout: Layout
    pictures: tuple[Path, ...]
    extrinsics: NDArray[np.float64]

    def image(self, view: int) -> NDArray[np.uint8]:
        """One view as uint8 RGBA (H, W, 4). Raises Failure naming the folder for what is no such picture."""
        path = self.pictures[view]
        with _reported(self.folder):
            return decode_rgba(_bytes(path, MAX_PICTURE_BYTES), "WEBP" if path.suffix == ".webp" else "PNG")


@dataclass(frozen=True)
class Views:
    """What a folder holds: `images` uint8 RGBA (H, W, 4) and `extrinsics` (V, 3, 4), and what views.json says of it."""

    layout: Layout
    images: tuple[NDArray[np.uint8], ...]
    extrinsics: NDArray[np.float64]
    facts: dict[str, Any] = field(default_factory=dict)


def layout_of(folder: Path) -> Layout | None:
    """The layout of a folder of views, None when it is no such folder."""
    if (folder / "extrinsics.npy").is_file():
        return "views"
    if any((folder / name).is_file() for name in TRANSFORMS):
        return "nerf"
    return "legacy" if (folder / "000.npy").is_file() and (folder / "000.png").is_file() else None


def find_views(folder: Path) -> FoundViews:
    """The views in `folder`, in whichever layout. Raises Failure naming the folder and what is wrong in it."""
    readers = {"views": _own, "nerf": _nerf, "legacy": _legacy}
    layout = layout_of(folder)
    with _reported(folder):
        if layout is None:
            raise ValueError("no extrinsics.npy, no transforms.json and no 000.npy in it")
        pictures, cameras = readers[layout](folder)
        extrinsics = np.asarray(cameras, np.float64)
        if not len(pictures) or not np.isfinite(extrinsics).all():
            raise ValueError("views without cameras of finite numbers")
        return FoundViews(folder, layout, tuple(pictures), extrinsics)


def read_views(folder: Path) -> Views:
    """The views in `folder` and what views.json says of them. Raises Failure as `find_views` does."""
    found = find_views(folder)
    images = tuple(found.image(view) for view in range(len(found.pictures)))
    with _reported(folder):
        facts = _json(folder / "views.json") if (folder / "views.json").is_file() else {}
    return Views(found.layout, images, found.extrinsics, facts)


@contextmanager
def _reported(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Failure(f"{folder}: expected a folder of rendered views, got: {error}") from None


def cam_from_transform(matrix: Any) -> NDArray[np.float64]:
    """`cam_from_world` (3, 4) of NeRF's `transform_matrix`, which is (4, 4). Raises ValueError for other shapes."""
    world_from_cam = np.asarray(matrix, np.float64)
    if world_from_cam.shape != (4, 4):
        raise ValueError(f"expected transform_matrix (4, 4), got {world_from_cam.shape}")
    rotation = world_from_cam[:3, :3].T
    return np.concatenate([rotation, -rotation @ world_from_cam[:3, 3:]], axis=1)


Read = tuple[list[Path], Any]
"""Where the pictures are, and the camera of each."""


def _own(folder: Path) -> Read:
    extrinsics = read_npy(_bytes(folder / "extrinsics.npy", MAX_CAMERA_BYTES), (None, 3, 4), np.float64)
    return [folder / view_suffix(view) for view in range(len(extrinsics))], extrinsics


def _nerf(folder: Path) -> Read:
    frames = _json(next(folder / name for name in TRANSFORMS if (folder / name).is_file()))["frames"]
    paths = [_inside(folder, frame["file_path"]) for frame in frames]
    cameras = [cam_from_transform(frame["transform_matrix"]) for frame in frames]
    return paths, cameras


def _legacy(folder: Path) -> Read:
    names = sorted(path.stem for path in folder.glob("*.npy") if path.stem.isdecimal())
    cameras = [read_npy(_bytes(folder / f"{name}.npy", MAX_CAMERA_BYTES), (3, 4), np.float64) for name in names]
    return [folder / f"{name}.png" for name in names], cameras


def _inside(folder: Path, name: str) -> Path:
    """The PNG that a frame names; its suffix may be left out."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
        raise ValueError(f"expected file_path inside the folder, got {name!r}")
    return folder / (name if name.lower().endswith(".png") else f"{name}.png")


def _bytes(path: Path, most: int) -> bytes:
    """A plain file's bytes. Raises ValueError for a larger one, and for a pipe or device, which might never end."""
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
