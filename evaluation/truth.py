"""The truth about an object: its views with cameras, masks and depths, and its mesh. Files are read when needed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from base.digest import digest_json, sha256_bytes, sha256_file
from evaluation.shapes.triangles import Triangles
from geometry.camera import Lens

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Pinhole:
    """Intrinsics of a view in pixels, for an image of `hw`. Pixel (row, column) has its centre at (+.5, +.5)."""

    fx: float
    fy: float
    cx: float
    cy: float
    hw: tuple[int, int]

    @classmethod
    def of_lens(cls, lens: Lens, hw: tuple[int, int]) -> "Pinhole":
        """Return the intrinsics of a centred lens."""
        focal = lens.focal_px(hw)
        return cls(fx=focal, fy=focal, cx=hw[1] / 2.0, cy=hw[0] / 2.0, hw=hw)

    def centred(self, cam_from_world: Floats) -> tuple[Floats, Lens]:
        """Return a matrix (3, 4) and a centred lens with the same projection and the same depths.

        A shear along the camera's axis moves the principal point, a stretch makes pixels square. The matrix is no
        rigid transform.
        """
        # Any focal length would do, since the matrix makes up for it.
        focal = max(self.fx, self.fy)
        matrix = np.array(
            [
                [self.fx / focal, 0.0, -(self.cx - self.hw[1] / 2.0) / focal],
                [0.0, self.fy / focal, (self.cy - self.hw[0] / 2.0) / focal],
                [0.0, 0.0, 1.0],
            ]
        )
        return matrix @ cam_from_world, Lens(focal_mm=focal, sensor_mm=float(max(self.hw)))


@dataclass(frozen=True, kw_only=True)
class TrueView:
    """A view: `read` returns uint8 RGBA (H, W, 4), `read_depth` depths (H, W) along the camera's axis or infinity."""

    name: str
    cam_from_world: Floats
    pinhole: Pinhole
    read: Callable[[], Pixels]
    read_depth: Callable[[], Floats] | None = None


@dataclass(frozen=True, kw_only=True)
class TrueObject:
    """An object of a data set. `read_mesh` returns its mesh in the world of the cameras, if there is a mesh.

    `files` are all files behind it, for its digest, unless `known_digest` is given.
    """

    uid: str
    views: tuple[TrueView, ...]
    read_mesh: Callable[[], Triangles] | None = None
    files: tuple[Path, ...] = field(default=(), repr=False)
    known_digest: str = ""

    def digest(self) -> str:
        """Return a digest of the bytes of all files, in the order of their names."""
        if self.known_digest:
            return self.known_digest
        # Names without folders: the same data elsewhere on the disk has the same digest.
        return digest_json([[path.name, sha256_file(path)] for path in sorted(self.files)])

    def pixel_digest(self) -> str:
        """Return a digest of the pixels of all views: the same for lossless copies in other formats."""
        return digest_json([sha256_bytes(view.read().tobytes()) for view in self.views])
