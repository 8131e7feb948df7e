"""A base-colour texture for a mesh, baked from posed views: an atlas, the views that see each texel best, padding.

Texels are indexed [row, column] from the image's top left, as in glTF, and so is `uv`, in [0, 1].
"""

from dataclasses import dataclass

import numpy as np
import xatlas
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from geometry.camera import Lens, Orthographic, camera_centre
from reconstruct.hull import project_grid, sample_image
from reconstruct.mesh import Mesh
from reconstruct.raster import Raster, rasterise

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST_FACING = 0.15
"""A view counts where the cosine between surface and view exceeds this."""
SHARPNESS = 6.0
"""Weights are this power of the cosine, so that the view seeing a texel best decides almost alone."""
FIRST_VIEW = 20.0
"""The weight of the first view beside the others: it is the photo."""
DEPTH_TOLERANCE = 0.012
"""Surfaces this far behind the nearest, in world units, still count as seen."""


@dataclass(frozen=True)
class TexturedMesh(Mesh):
    """A mesh cut along the seams of its atlas: `uv` (V, 2) and `texture`, sRGB uint8 (N, N, 3).

    `colours` are the texture's at the vertices. `seen` is the part of the texels that some view saw; the others have
    the colour of the nearest seen texel.
    """

    uv: Floats
    texture: NDArray[np.uint8]
    seen: float

    def colours_seen(self, raster: Raster) -> Floats:
        """See `Mesh.colours_seen`; each pixel shows its nearest texel."""
        uv = np.einsum("hwk,hwkc->hwc", raster.barycentric, self.uv[self.faces[raster.face]])
        return texels_at(self.texture, uv).astype(np.float64)


def bake_texture(
    mesh: Mesh, images: NDArray[np.float32], cameras: Floats, lens: Lens, edge: int, *, first_is_photo: bool
) -> TexturedMesh:
    """Unwrap the mesh and bake straight RGBA images (V, H, W, 4) in [0, 1] into a texture of `edge`² texels."""
    origin, faces, uv = xatlas.parametrize(mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32))
    origin, faces = origin.astype(np.int64), faces.astype(np.int64)
    vertices, normals, uv = mesh.vertices[origin], mesh.normals[origin], uv.astype(np.float64)
    atlas = atlas_raster(uv, faces, edge)
    covered = atlas.face >= 0
    corners, weights = faces[atlas.face[covered]], atlas.barycentric[covered]
    points = np.einsum("nk,nkc->nc", weights, vertices[corners])
    facing = np.einsum("nk,nkc->nc", weights, normals[corners])
    colours, known = blend_views(points, facing, mesh, images, cameras, lens, first_is_photo=first_is_photo)
    colours = inpainted(points, colours, known)
    texture = np.zeros((edge, edge, 3))
    texture[covered] = colours
    texture = padded(texture, covered)
    pixels = np.asarray((texture * 255.0).round().clip(0, 255), np.uint8)
    seen = float(known.mean()) if len(known) else 0.0
    return TexturedMesh(vertices, faces, normals, texels_at(pixels, uv), uv, pixels, seen)


def texels_at(texture: NDArray[np.uint8], uv: Floats) -> NDArray[np.uint8]:
    """Return the texels (..., 3) nearest to texture coordinates (..., 2)."""
    edge = texture.shape[0]
    where = np.clip((uv * edge).astype(np.int64), 0, edge - 1)
    return np.asarray(texture[where[..., 1], where[..., 0]])


def atlas_raster(uv: Floats, faces: Ints, edge: int) -> Raster:
    """Find the face and the barycentric weights of each texel's centre, for `uv` (V, 2)."""
    # The atlas is a flat object, seen from above by a camera without perspective.
    flat = np.stack([uv[:, 0] - 0.5, 0.5 - uv[:, 1], np.zeros(len(uv))], axis=1)
    camera = np.concatenate([np.eye(3), [[0.0], [0.0], [-2.0]]], axis=1)
    return rasterise(flat, faces, camera, Orthographic(width=1.0), (edge, edge))


def blend_views(
    points: Floats,
    normals: Floats,
    mesh: Mesh,
    images: NDArray[np.float32],
    cameras: Floats,
    lens: Lens,
    *,
    first_is_photo: bool,
) -> tuple[Floats, NDArray[np.bool_]]:
    """Average the views' colours at points (N, 3) of the surface; (N, 3), and which points any view saw."""
    total, weights = np.zeros((len(points), 3)), np.zeros(len(points))
    hw = (images.shape[1], images.shape[2])
    for number, (image, camera) in enumerate(zip(images, cameras, strict=True)):
        # Depths at twice the resolution: at silhouettes a coarse depth image lets colours through to surfaces behind.
        nearest = depth_image(mesh, camera, lens, (2 * hw[0], 2 * hw[1]))
        towards = camera_centre(camera) - points
        cosine = (normals * towards).sum(1) / np.linalg.norm(towards, axis=1)
        chosen = np.nonzero(cosine > LEAST_FACING)[0]
        places, depth = project_grid(points[chosen].astype(np.float32), camera, lens, hw)
        pixel = ((places + 1.0) * np.array([hw[1], hw[0]])).astype(np.int64)
        inside = (pixel >= 0).all(1) & (pixel < 2 * np.array([hw[1], hw[0]])).all(1)
        pixel = pixel.clip(0, 2 * np.array([hw[1], hw[0]]) - 1)
        # Within a pixel a steep surface covers a range of depths.
        slack = DEPTH_TOLERANCE + depth / lens.focal_px((2 * hw[0], 2 * hw[1])) / cosine[chosen]
        visible = inside & (depth < nearest[pixel[:, 1], pixel[:, 0]] + slack)
        seen = sample_image(np.ascontiguousarray(image.transpose(2, 0, 1)), places)
        # Pixels with background in them would paint a light seam on the outline.
        weight = visible * cosine[chosen] ** SHARPNESS * (seen[3] > 0.9)
        weight *= FIRST_VIEW if number == 0 and first_is_photo else 1.0
        total[chosen] += weight[:, None] * seen[:3].T
        weights[chosen] += weight
    known = weights > 0.0
    return total / np.maximum(weights, 1e-12)[:, None], known


def depth_image(mesh: Mesh, camera: Floats, lens: Lens, hw: tuple[int, int]) -> Floats:
    """Return the depth (H, W) of the nearest surface at each pixel's centre; infinite without."""
    raster = rasterise(mesh.vertices, mesh.faces, camera, lens, hw)
    depth = -(mesh.vertices @ camera[2, :3] + camera[2, 3])
    corners = mesh.faces[raster.face]
    # 1/depth is linear on the screen, depth is not.
    exact = 1.0 / np.maximum((raster.barycentric / depth[corners]).sum(-1), 1e-12)
    return np.where(raster.face >= 0, exact, np.inf)


def inpainted(points: Floats, colours: Floats, known: NDArray[np.bool_]) -> Floats:
    """Give points (N, 3) of the surface without a known colour the colour of the nearest point with it."""
    if known.all():
        return colours
    if not known.any():
        return np.full_like(colours, 0.5)
    nearest = cKDTree(points[known]).query(points[~known])[1]
    result = colours.copy()
    result[~known] = colours[known][nearest]
    return result


def padded(texture: Floats, covered: NDArray[np.bool_]) -> Floats:
    """Give texels (N, N, 3) outside the charts the colour of the nearest texel inside, so that seams do not show."""
    if not covered.any():
        return texture
    # Viewers interpolate between texels, also across the edge of a chart.
    rows, columns = ndimage.distance_transform_edt(~covered, return_distances=False, return_indices=True)
    return np.asarray(texture[rows, columns])
