"""SD-30: 30 Google Scanned Objects in 16 views, published with SyncDreamer (arXiv 2309.03453).

`OBJECT/000.png` … `015.png` or `.webp`, 256 × 256 RGBA; `OBJECT/NNN-depth.png` if present; and the mesh as
`OBJECT/mesh.npz` or `OBJECT/model.obj`, z up as delivered. HarmonyView's repository has this layout too.
"""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from base.errors import Failure
from evaluation.datasets.base import folders_of
from evaluation.mesh_files import read_mesh
from evaluation.picture_files import find_picture, read_depth_png, read_picture
from evaluation.shapes.alignment import into_unit_cube, turn_about_z
from evaluation.shapes.triangles import Triangles
from evaluation.truth import Pinhole, TrueObject, TrueView
from geometry.camera import PAPER_LENS
from geometry.rig import place_cameras

VIEWS, HW, POLAR_DEG, RADIUS = 16, (256, 256), 60.0, 1.5
DEPTH_NEAR, DEPTH_RANGE, DEPTH_LEVELS = 0.6, 1.8, 65535
NEAREST, FARTHEST = 0.63, 2.37
"""Depths outside are background."""

FROM_270 = "alarm backpack blocks chicken grandfather grandmother lion lunch_bag mario oil soap"
START_AZIMUTH_DEG = {
    **dict.fromkeys(FROM_270.split(), 270.0),
    **dict.fromkeys(("elephant", "school_bus1"), 180.0),
    **dict.fromkeys(("school_bus2", "shoe", "train", "turtle"), 225.0),
    "sofa": -90.0,
    "sorter": 112.5,
}
"""The azimuth of view 0 in the frame of the object's file; 0 for all others."""
MESHES = ("mesh.npz", "model.obj")


class Sd30:
    """The data set in a folder. Its world is turned so that view 0 has azimuth 0."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def uids(self) -> tuple[str, ...]:
        """See `DataSet.uids`."""
        return folders_of(self.root, "a folder for each object of SD-30")

    def load(self, uid: str) -> TrueObject:
        """See `DataSet.load`."""
        folder = self.root / uid
        pictures = [find_picture(folder, f"{number:03d}") for number in range(VIEWS)]
        missing = [path.name for path in pictures if not path.is_file()]
        if missing:
            raise Failure(f"{folder}: expected {VIEWS} views, got no {', '.join(missing[:3])}")
        mesh = next((path for name in MESHES if (path := folder / name).is_file()), None)
        views = tuple(_view(number, path) for number, path in enumerate(pictures))
        depths = [_depth_path(path) for path in pictures]
        return TrueObject(
            uid=uid,
            views=views,
            read_mesh=partial(_read_mesh, mesh, uid) if mesh else None,
            files=(*pictures, *(path for path in depths if path.is_file()), *((mesh,) if mesh else ())),
        )


def ring_cameras() -> NDArray[np.float64]:
    """Return the 16 cameras of the ring, (16, 3, 4)."""
    azimuths = np.deg2rad(np.arange(VIEWS) * 360.0 / VIEWS)
    places = np.stack([np.full(VIEWS, np.deg2rad(POLAR_DEG)), azimuths, np.full(VIEWS, RADIUS)], axis=1)
    return place_cameras(places)


def _view(number: int, path: Path) -> TrueView:
    depth = _depth_path(path)
    return TrueView(
        name=f"{number:03d}",
        cam_from_world=ring_cameras()[number],
        pinhole=Pinhole.of_lens(PAPER_LENS, HW),
        read=partial(read_picture, path, HW),
        read_depth=partial(_read_depth, depth) if depth.is_file() else None,
    )


def _depth_path(picture: Path) -> Path:
    return picture.with_name(f"{picture.stem}-depth.png")


def _read_depth(path: Path) -> NDArray[np.float64]:
    # SyncDreamer stores depths from 0.6 to 2.4 as the levels of 16 bits.
    depth = read_depth_png(path, HW) / DEPTH_LEVELS * DEPTH_RANGE + DEPTH_NEAR
    return np.where((depth > NEAREST) & (depth < FARTHEST), depth, np.inf)


def _read_mesh(path: Path, uid: str) -> Triangles:
    """Turn the object instead of the ring: view 0 has azimuth 0 then, in the frame of all published predictions."""
    back = turn_about_z(-np.deg2rad(START_AZIMUTH_DEG.get(uid, 0.0)))
    return into_unit_cube(read_mesh(path)).transformed(back)
