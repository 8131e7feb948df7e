"""From a field to the mesh that a person keeps: extracted, simplified, textured, counted.

The texture shows the photo wherever the photo's camera sees the surface, and rendered views of the field elsewhere.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geometry.camera import Lens
from reconstruct.field import VoxelField
from reconstruct.field_depths import fuse_field
from reconstruct.field_views import field_views
from reconstruct.mesh import Mesh, extract
from reconstruct.settings import ReconstructSettings
from reconstruct.simplify import MeshFacts, mesh_facts, surface_mesh
from reconstruct.texture import TexturedMesh, bake_texture
from reconstruct.viewpoints import draw_viewpoints

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Finished:
    """A textured mesh, its counts before it was cut along seams, and the density `level` of its surface, if any."""

    mesh: TexturedMesh
    facts: MeshFacts
    level: float | None


@dataclass(frozen=True)
class Photo:
    """The input view: straight RGBA uint8 (H, W, 4), its camera `cam_from_world` (3, 4), and the lens of all views."""

    rgba: NDArray[np.uint8]
    camera: Floats
    lens: Lens

    @property
    def hw(self) -> tuple[int, int]:
        """Return height and width of the picture."""
        return self.rgba.shape[0], self.rgba.shape[1]


def finish_field(field: VoxelField, photo: Photo, settings: ReconstructSettings, *, seed: int) -> Finished:
    """Extract the mesh of a density field and texture it. Raises Failure for an empty field."""
    mesh, level = field_mesh(field, photo, settings, seed=seed)
    cameras = draw_viewpoints(seed, settings.mesh.texture.views, settings.score.radius)
    views = field_views(field, cameras, photo.lens, photo.hw, settings.samples_per_ray)
    return finish_mesh(mesh, photo, (views, cameras), settings, level=level)


def field_mesh(
    field: VoxelField, photo: Photo, settings: ReconstructSettings, *, seed: int
) -> tuple[Mesh, float | None]:
    """Extract the mesh of a density field by `mesh.surface`, and its density level, if it is one."""
    if settings.mesh.surface == "density":
        extracted = extract(field, settings.mesh)
        return extracted.mesh, extracted.level
    cameras = draw_viewpoints(seed, settings.mesh.views, settings.score.radius)
    fused = fuse_field(field, cameras, photo.lens, photo.hw, settings.samples_per_ray, settings.mesh)
    return surface_mesh(fused, settings.mesh.faces), None


def finish_mesh(
    mesh: Mesh,
    photo: Photo,
    others: tuple[NDArray[np.float32], Floats],
    settings: ReconstructSettings,
    *,
    level: float | None = None,
) -> Finished:
    """Texture a mesh from the photo and from `others`: views (V, H, W, 4) in [0, 1] and their cameras (V, 3, 4)."""
    images = np.concatenate([photo.rgba[None].astype(np.float32) / 255.0, others[0]])
    cameras = np.concatenate([photo.camera[None], others[1]])
    edge = settings.mesh.texture.edge_px
    textured = bake_texture(mesh, images, cameras, photo.lens, edge, first_is_photo=True)
    return Finished(textured, mesh_facts(mesh), level)
