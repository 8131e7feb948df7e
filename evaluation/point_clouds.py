"""Point clouds from strangers' files, and the surface of points that fill a grid.

MCC (Wu et al., CVPR 2023) predicts occupancy at every point of a regular grid (`get_grid` of its engine_mcc.py) and
keeps the points above 0.1 (`--eval_score_threshold`). It writes no mesh. The surface here is that of marching cubes
over this grid: half-way between kept and other points, or at 0.1 where the file has the occupancy itself.

Point-E's clouds are on no grid and are refused here: evaluation.point_e makes their meshes, as the paper does.
"""

import io
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.measure import marching_cubes

from base.errors import Failure
from base.storage import reason
from evaluation.mesh_files import BROKEN, MAX_BYTES, MAX_FACES, Z_UP_FROM_Y_UP, check_archive
from evaluation.ply_reader import ply_points
from evaluation.shapes.triangles import Triangles
from shards.arrays import UNREADABLE, BadArray, read_npy

Floats = NDArray[np.float64]

CLOUD_SUFFIXES = (".npz", ".ply")
COORDINATES, OCCUPANCY = "coords", "occupancy"
"""The arrays of an NPZ: that of Point-E's `PointCloud.save`, and beside it an occupancy in [0, 1] for each point."""
REALS = ("<f2", "<f8", "<f4")
KEPT_ABOVE = 0.1
"""MCC's `--eval_score_threshold`."""
MAX_POINTS = 4_000_000
FARTHEST = 1e6
MAX_STEPS = 256
"""The most grid points along an axis; MCC's own grids have 60 and, in its demo, 120."""
OFF_GRID = 0.05
"""How far a point may be from the grid, in steps: float32 and float16 coordinates are rounded."""


def read_cloud_mesh(path: Path, up: str = "z") -> Triangles:
    """Read points on a grid with the up axis `up` (`y` or `z`) and return their surface, z up.

    Raises Failure as `read_cloud` does, and for more than 4 million points and points on no grid.
    """
    points, occupancy = read_cloud(path)
    try:
        mesh = grid_surface(points, occupancy)
    except ValueError as error:
        raise Failure(f"{path}: {error}") from None
    return mesh.transformed(Z_UP_FROM_Y_UP) if up == "y" else mesh


def read_cloud(path: Path) -> tuple[Floats, Floats | None]:
    """Read points (N, 3) as they are in the file, and their occupancy (N,) or None.

    An NPZ has `coords` (N, 3) and perhaps `occupancy` (N,); other arrays, such as colours, are not read. A PLY has
    vertices. Raises Failure, in a sentence, for a missing or damaged file and for Python objects.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Failure(f"{path}: expected at most {MAX_BYTES >> 20} MiB, got {path.stat().st_size >> 20} MiB")
        data = path.read_bytes()
        return _npz_cloud(data) if path.suffix == ".npz" else (ply_points(data), None)
    except OSError as error:
        raise Failure(f"{path}: expected a point cloud, got: {reason(error)}") from None
    except BadArray as error:  # a ValueError with a complete message
        raise Failure(f"{path}: {error}") from None
    except (*UNREADABLE, *BROKEN, KeyError, IndexError, TypeError, MemoryError) as error:
        raise Failure(f"{path}: expected a whole point cloud, got: {error!r}") from None


def grid_surface(points: Floats, occupancy: Floats | None = None) -> Triangles:
    """Return the closed surface of points (N, 3) on a grid with the same step along all axes, oriented outwards.

    `occupancy` (N,) cuts at KEPT_ABOVE. Raises ValueError for points on no such grid, and for too many of them.
    """
    if not 2 <= len(points) <= MAX_POINTS:
        raise ValueError(f"expected 2 to {MAX_POINTS:,} points, got {len(points):,}")
    # NaN fails both comparisons, too.
    if not (np.abs(points) <= FARTHEST).all():
        raise ValueError(f"expected coordinates of at most {FARTHEST:g}, got larger ones or NaN")
    if occupancy is not None and not ((occupancy >= 0.0) & (occupancy <= 1.0)).all():
        raise ValueError("expected occupancies from 0 to 1, after MCC's sigmoid, got others")
    cells, step = _cells(points)
    # An empty layer all around closes the surface at the edges of the grid.
    grid = np.zeros(cells.max(axis=0) + 3, np.float32)
    np.maximum.at(grid, tuple((cells + 1).T), 1.0 if occupancy is None else occupancy.astype(np.float32))
    level = 0.5 if occupancy is None else KEPT_ABOVE
    kept = grid > level
    if not kept.any():
        raise ValueError(f"expected points with an occupancy above {KEPT_ABOVE}, got none")
    # A vertex for each pair of neighbours across the level, and about two faces for each vertex.
    pairs = sum(int(np.count_nonzero(np.diff(kept, axis=axis))) for axis in range(3))
    if 2 * pairs > MAX_FACES:
        raise ValueError(f"expected a surface of at most {MAX_FACES:,} faces, got about {2 * pairs:,}")
    vertices, faces, _, _ = marching_cubes(grid, level=level, gradient_direction="descent")
    # scikit-image counts corners clockwise when the array is indexed [x, y, z].
    faces = faces[:, ::-1].astype(np.int64)
    return Triangles(points.min(axis=0) + step * (vertices.astype(np.float64) - 1.0), faces)


def _cells(points: Floats) -> tuple[NDArray[np.int64], float]:
    """Return the cell (N, 3) of each point, from 0, and the grid's step."""
    low, extent = points.min(axis=0), float(np.ptp(points, axis=0).max())
    gaps = np.concatenate([np.diff(np.unique(points[:, axis])) for axis in range(3)])
    # Smaller gaps are rounding of the same coordinate: no allowed grid is that fine.
    gaps = gaps[gaps > 0.5 * extent / MAX_STEPS]
    if len(gaps) == 0:
        raise ValueError("expected points of a grid, got all points at the same place")
    # The longest axis tells the step best: it has the most of them.
    steps = round(extent / float(gaps.min()))
    step = extent / steps
    places = (points - low) / step
    off = float(np.abs(places - places.round()).max())
    if steps >= MAX_STEPS or off > OFF_GRID:
        raise ValueError(
            f"expected the occupied points of a grid with the same step along all axes and at most {MAX_STEPS} points "
            "along each, as MCC predicts them, got other points; `zero123 benchmark mesh` makes meshes of Point-E's"
        )
    return places.round().astype(np.int64), step


def _npz_cloud(data: bytes) -> tuple[Floats, Floats | None]:
    names = check_archive(data)
    if f"{COORDINATES}.npy" not in names:
        raise BadArray(f"expected an array {COORDINATES!r}, got {', '.join(names)[:100] or 'none'}")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        points = _reals(COORDINATES, archive.read(f"{COORDINATES}.npy"), (None, 3))
        if f"{OCCUPANCY}.npy" not in names:
            return points, None
        return points, _reals(OCCUPANCY, archive.read(f"{OCCUPANCY}.npy"), (len(points),))


def _reals(name: str, data: bytes, shape: tuple[int | None, ...]) -> Floats:
    """Decode an array of floats of any precision. Python objects are refused by their type, and never unpickled."""
    wrong = ""
    for kind in REALS:
        try:
            return read_npy(data, shape, kind).astype(np.float64)
        except BadArray as error:
            wrong = str(error)
    raise BadArray(f"{name}: {wrong}")
