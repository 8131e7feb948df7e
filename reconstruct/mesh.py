"""Extract a coloured triangle mesh from a field.

Density → opacity → light smoothing → removal of small parts → marching cubes → colours from the field.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import marching_cubes

from base.errors import Failure
from geometry.camera import Lens
from reconstruct.edges import collapse_edges, vertex_normals
from reconstruct.field import SilhouetteGate, VoxelField
from reconstruct.raster import Raster, rasterise
from reconstruct.settings import MeshSettings

GREY = 200
CHUNK = 1 << 20
"""Points of the field evaluated at a time, which bounds the memory."""


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh in the world: z up, faces counter-clockwise seen from outside.

    `vertices` (V, 3), `faces` (F, 3), unit `normals` (V, 3) pointing out, `colours` (V, 3) uint8 sRGB.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    normals: NDArray[np.float64]
    colours: NDArray[np.uint8]

    def colours_seen(self, raster: Raster) -> NDArray[np.float64]:
        """Return the colour (H, W, 3), 0 to 255, at each pixel of a raster of this mesh; arbitrary without a face."""
        return np.asarray(np.einsum("hwk,hwkc->hwc", raster.barycentric, self.colours[self.faces[raster.face]]))


@dataclass(frozen=True)
class Extracted:
    """A mesh of a field, and the density `level` of its surface."""

    mesh: Mesh
    level: float


def extract(field: VoxelField, settings: MeshSettings) -> Extracted:
    """Extract the surface at the first of `settings.levels` with `settings.enough_iou` against the input's silhouette.

    If every level falls short, the best is taken. A field without a gate has no input to compare with, so the first
    level with a surface is taken. Raises Failure when no level has a surface.
    """
    densities = density_grid(field, settings.resolution)
    best, best_iou = None, -1.0
    for level in settings.levels:
        mesh = _at_level(field, densities, level, settings)
        if mesh is None:
            continue
        iou = 1.0 if field.gate is None else input_agreement(mesh, field.gate)
        if iou >= settings.enough_iou:
            return Extracted(mesh, level)
        if iou > best_iou:
            best, best_iou = Extracted(mesh, level), iou
    if best is None:
        raise Failure("mesh: expected a field with something solid in it, got an empty field")
    return best


def input_agreement(mesh: Mesh, gate: SilhouetteGate) -> float:
    """Return the IoU of the mesh's silhouette, seen by the input's camera, with the input's alpha above one half."""
    visible = gate.alpha[0, 0].cpu().numpy() > 0.5
    hw = (visible.shape[0], visible.shape[1])
    # The gate's focal length is in half edges, so this sensor is two half edges wide.
    lens = Lens(focal_mm=gate.focal, sensor_mm=2.0)
    camera = gate.cam_from_world.cpu().numpy().astype(np.float64)
    covered = rasterise(mesh.vertices, mesh.faces, camera, lens, hw).face >= 0
    return float((covered & visible).sum() / max((covered | visible).sum(), 1))


def _at_level(field: VoxelField, densities: NDArray[np.float32], level: float, settings: MeshSettings) -> Mesh | None:
    """Extract the surface at a density level; None where no part reaches it."""
    opacity = opacity_from_density(densities, level)
    # Beyond the cube there is nothing, hence the mode.
    opacity = ndimage.gaussian_filter(opacity, settings.smooth_voxels, mode="constant")
    opacity = keep_large_parts(opacity, settings.keep_fraction)
    if opacity.max() <= 0.5:
        return None
    # An empty layer around the grid closes the surface where the object touches the cube.
    corners, triangles, _, _ = marching_cubes(np.pad(opacity, 1), level=0.5, gradient_direction="descent")
    voxel = 2.0 * field.half_extent / settings.resolution
    # scikit-image counts corners clockwise when the array is indexed [x, y, z].
    vertices, faces = collapse_edges(
        (corners.astype(np.float64) - 0.5) * voxel - field.half_extent,
        np.ascontiguousarray(triangles[:, ::-1].astype(np.int64)),
        settings.faces,
    )
    normals = vertex_normals(vertices, faces)
    # A voxel inside, the colour is the object's; at the surface empty voxels are mixed in.
    return Mesh(vertices, faces, normals, _colours(field, vertices - voxel * normals))


def density_grid(field: VoxelField, resolution: int) -> NDArray[np.float32]:
    """Evaluate the density at the centres of a grid (N, N, N), indexed [x, y, z]."""
    centres = ((torch.arange(resolution) + 0.5) / resolution * 2.0 - 1.0) * field.half_extent
    points = torch.stack(torch.meshgrid(centres, centres, centres, indexing="ij"), dim=-1).reshape(-1, 3)
    with torch.no_grad():
        density = torch.cat([field(part.to(field.density.device))[0].cpu() for part in points.split(CHUNK)])
    return np.asarray(density.view(resolution, resolution, resolution).numpy(), np.float32)


def opacity_from_density(density: NDArray[np.float32], level: float) -> NDArray[np.float32]:
    """1 − 2^(−density/level): in [0, 1), and 0.5 where the density is `level`."""
    return np.asarray(-np.expm1(-density * (np.log(2.0) / level)), np.float32)


def keep_large_parts(opacity: NDArray[np.float32], keep_fraction: float) -> NDArray[np.float32]:
    """Remove parts below `keep_fraction` of the largest from `opacity` (N, N, N), and fill closed hollows."""
    labels, count = ndimage.label(opacity > 0.5)
    if count == 0:
        return opacity
    voxels = np.bincount(labels.ravel())
    small = voxels < keep_fraction * voxels[1:].max()
    # Label 0 is the empty space, not a part.
    small[0] = False
    # A removed part's faint rim goes with it, or it would come back as specks.
    removed = ndimage.binary_dilation(small[labels], iterations=2) & (small[labels] | (labels == 0))
    result = np.where(removed, 0.0, opacity)
    hollow = ndimage.binary_fill_holes(result > 0.5) & (result <= 0.5)
    return np.where(hollow, 1.0, result).astype(np.float32)


def _colours(field: VoxelField, points: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return the colours (N, 3) at points (N, 3); grey for latents, which have a colour only in a decoded view."""
    if field.codec is not None:
        return np.full((len(points), 3), GREY, np.uint8)
    where = torch.from_numpy(np.ascontiguousarray(points, np.float32)).to(field.density.device)
    with torch.no_grad():
        colour = torch.cat([field(part)[1].cpu() for part in where.split(CHUNK)])
    return np.asarray((colour * 255.0).round().to(torch.uint8).numpy())
