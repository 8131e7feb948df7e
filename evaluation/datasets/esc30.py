"""ESC-30: EscherNet's 30 scanned objects in 25 views each (arXiv 2402.03908).

`OBJECT/render_mvs_25/model/000.png` … `024.png`, 512 × 512 RGBA, and `000.npy` …, cam_from_world (3, 4) in OpenGL axes;
`OBJECT/meshes/model.obj` if present, z up, longest edge 1 in the cameras' world.
"""

import io
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from base.errors import Failure
from base.storage import reason
from evaluation.datasets.base import folders_of
from evaluation.datasets.rigid import check_rigid
from evaluation.mesh_files import read_mesh
from evaluation.picture_files import read_picture
from evaluation.shapes.alignment import into_unit_cube
from evaluation.shapes.triangles import Triangles
from evaluation.truth import Pinhole, TrueObject, TrueView
from geometry.camera import PAPER_LENS
from shards.arrays import UNREADABLE

VIEWS, HW, MAX_NPY = 25, (512, 512), 4096


class Esc30:
    """The data set in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def uids(self) -> tuple[str, ...]:
        """See `DataSet.uids`."""
        return tuple(uid for uid in folders_of(self.root, "a folder for each object") if self._views(uid).is_dir())

    def load(self, uid: str) -> TrueObject:
        """See `DataSet.load`."""
        folder = self._views(uid)
        pictures = [folder / f"{number:03d}.png" for number in range(VIEWS)]
        cameras = [path.with_suffix(".npy") for path in pictures]
        missing = [path.name for path in (*pictures, *cameras) if not path.is_file()]
        if missing:
            raise Failure(f"{folder}: expected {VIEWS} views with cameras, got no {', '.join(missing[:3])}")
        mesh = self.root / uid / "meshes" / "model.obj"
        # All of EscherNet's renders have the lens of Zero-1-to-3.
        views = tuple(
            TrueView(
                name=picture.stem,
                cam_from_world=read_extrinsics(camera),
                pinhole=Pinhole.of_lens(PAPER_LENS, HW),
                read=partial(read_picture, picture, HW),
            )
            for picture, camera in zip(pictures, cameras, strict=True)
        )
        has_mesh = mesh.is_file()
        return TrueObject(
            uid=uid,
            views=views,
            read_mesh=partial(_read_mesh, mesh) if has_mesh else None,
            files=(*pictures, *cameras, *((mesh,) if has_mesh else ())),
        )

    def _views(self, uid: str) -> Path:
        return self.root / uid / "render_mvs_25" / "model"


def read_extrinsics(path: Path) -> NDArray[np.float64]:
    """Read cam_from_world (3, 4) from a small `.npy` without objects. Raises Failure for anything else."""
    try:
        if path.stat().st_size > MAX_NPY:
            raise Failure(f"{path}: expected a matrix (3, 4), got {path.stat().st_size} bytes")
        matrix = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
        return check_rigid(np.asarray(matrix, np.float64), str(path))
    except OSError as error:
        raise Failure(f"{path}: expected a matrix (3, 4), got: {reason(error)}") from None
    except (*UNREADABLE, MemoryError) as error:  # a header may promise any shape
        raise Failure(f"{path}: expected a matrix (3, 4), got: {error}") from None


def _read_mesh(path: Path) -> Triangles:
    return into_unit_cube(read_mesh(path))
