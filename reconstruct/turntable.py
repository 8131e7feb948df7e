"""Pictures of a mesh during one turn, for the animated turntable of the report."""

import numpy as np
from numpy.typing import NDArray

from base.progress import Progress
from geometry.camera import Lens, camera_centre
from reconstruct.mesh import Mesh
from reconstruct.raster import rasterise
from reconstruct.settings import TurntableSettings
from reconstruct.viewpoints import orbit

SUPERSAMPLED = 2
"""Each pixel is the mean of this many squared."""
SHADE = 0.35
"""How much darker a surface seen edge-on is. It is little, because the colours already contain the photo's light."""


def picture(mesh: Mesh, cam_from_world: NDArray[np.float64], lens: Lens, hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw the mesh in its own colours, gently lit from the camera, antialiased; RGBA uint8 (H, W, 4)."""
    fine = (hw[0] * SUPERSAMPLED, hw[1] * SUPERSAMPLED)
    raster = rasterise(mesh.vertices, mesh.faces, cam_from_world, lens, fine)
    towards = camera_centre(cam_from_world) - mesh.vertices
    facing = (mesh.normals * towards / np.linalg.norm(towards, axis=1, keepdims=True)).sum(1)
    light = 1.0 - SHADE + SHADE * np.clip(facing, 0.0, 1.0)
    colour = mesh.colours_seen(raster) * (raster.barycentric * light[mesh.faces[raster.face]]).sum(-1, keepdims=True)
    alpha = (raster.face >= 0).astype(np.float64)[..., None]
    # Averaged premultiplied, or the black behind the mesh would darken its outline.
    both = np.concatenate([colour * alpha, alpha * 255.0], axis=-1)
    both = both.reshape(hw[0], SUPERSAMPLED, hw[1], SUPERSAMPLED, 4).mean((1, 3))
    straight = both[..., :3] / np.maximum(both[..., 3:] / 255.0, 1e-6)
    return np.asarray(np.concatenate([straight, both[..., 3:]], axis=-1).round().clip(0, 255), np.uint8)


def turntable(mesh: Mesh, lens: Lens, settings: TurntableSettings, progress: Progress) -> NDArray[np.uint8]:
    """Draw a full turn around the mesh as RGBA frames, uint8 (frames, H, W, 4)."""
    cameras = orbit(settings.frames, settings.elevation_deg, settings.radius)
    frames = []
    with progress.task("turntable", total=len(cameras), unit="frames") as task:
        for camera in cameras:
            frames.append(picture(mesh, camera, lens, settings.hw))
            task.advance(1)
    return np.stack(frames)
