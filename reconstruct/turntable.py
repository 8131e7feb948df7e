"""Pictures of a mesh during one turn, for the animated turntable of the report."""

import numpy as np
from numpy.typing import NDArray

from base.progress import Progress
from geometry.camera import Lens, camera_centre
from reconstruct.mesh import Mesh
from reconstruct.raster import rasterise
from reconstruct.settings import TurntableSettings
from reconstruct.texture import depth_image
from reconstruct.viewpoints import orbit

Floats = NDArray[np.float64]
Turn = dict[str, NDArray[np.uint8]]
"""RGBA frames (frames, H, W, 4) of the `picture`, and of each pass by its name."""

SUPERSAMPLED = 2
"""Each pixel is the mean of this many squared."""
SHADE = 0.35
"""How much darker a surface seen edge-on is. It is little, because the colours already contain the photo's light."""
CORNER = 3.0**0.5 / 2.0
"""The distance of the unit box's corners from its middle."""
DARKEST = 40


def picture(
    mesh: Mesh, cam_from_world: NDArray[np.float64], lens: Lens, hw: tuple[int, int], *, shade: float = SHADE
) -> NDArray[np.uint8]:
    """Draw the mesh in its own colours, lit from the camera, antialiased; RGBA uint8 (H, W, 4).

    `shade` is the part of the light that is lost on surfaces at right angles to the view, 0 for plain colours.
    """
    fine = (hw[0] * SUPERSAMPLED, hw[1] * SUPERSAMPLED)
    raster = rasterise(mesh.vertices, mesh.faces, cam_from_world, lens, fine)
    towards = camera_centre(cam_from_world) - mesh.vertices
    facing = (mesh.normals * towards / np.linalg.norm(towards, axis=1, keepdims=True)).sum(1)
    light = 1.0 - shade + shade * np.clip(facing, 0.0, 1.0)
    colour = mesh.colours_seen(raster) * (raster.barycentric * light[mesh.faces[raster.face]]).sum(-1, keepdims=True)
    alpha = (raster.face >= 0).astype(np.float64)[..., None]
    # Averaged premultiplied, or the black behind the mesh would darken its outline.
    both = np.concatenate([colour * alpha, alpha * 255.0], axis=-1)
    both = both.reshape(hw[0], SUPERSAMPLED, hw[1], SUPERSAMPLED, 4).mean((1, 3))
    straight = both[..., :3] / np.maximum(both[..., 3:] / 255.0, 1e-6)
    return np.asarray(np.concatenate([straight, both[..., 3:]], axis=-1).round().clip(0, 255), np.uint8)


def normal_image(mesh: Mesh, cam_from_world: NDArray[np.float64], lens: Lens, hw: tuple[int, int]) -> Floats:
    """Return the unit normal of the surface at each pixel's centre, in the camera's axes; (H, W, 3), 0 off the mesh."""
    raster = rasterise(mesh.vertices, mesh.faces, cam_from_world, lens, hw)
    normal = np.einsum("hwk,hwkc->hwc", raster.barycentric, mesh.normals[mesh.faces[raster.face]])
    normal = normal @ cam_from_world[:, :3].T
    length = np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
    return np.where(raster.face[..., None] >= 0, normal / length, 0.0)


def depth_frame(depth: NDArray[np.floating], alpha: NDArray[np.uint8], radius: float) -> NDArray[np.uint8]:
    """Draw depths (H, W) as grey RGBA (H, W, 4), for a camera at `radius`.

    The nearest corner of the unit box is nearly white and the farthest nearly black, the same in each frame.
    """
    nearness = (radius + CORNER - np.where(alpha > 0, depth, radius)) / (2.0 * CORNER)
    grey = (DARKEST + (255.0 - DARKEST) * np.clip(nearness, 0.0, 1.0)).round()
    return np.dstack([np.repeat(grey[..., None], 3, axis=-1), alpha]).astype(np.uint8)


def normal_frame(normal: NDArray[np.floating], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Draw unit normals (H, W, 3) as colours 128 + 127 n, RGBA (H, W, 4)."""
    return np.dstack([(128.0 + 127.0 * normal.astype(np.float64)).round().clip(0, 255), alpha]).astype(np.uint8)


def turntable(mesh: Mesh, lens: Lens, settings: TurntableSettings, progress: Progress) -> Turn:
    """Draw a full turn around the mesh: its picture and the passes of `settings`."""
    cameras = orbit(settings.frames, settings.elevation_deg, settings.radius)
    frames: dict[str, list[NDArray[np.uint8]]] = {name: [] for name in ("picture", *settings.passes)}
    with progress.task("turntable", total=len(cameras), unit="frames") as task:
        for camera in cameras:
            frames["picture"].append(picture(mesh, camera, lens, settings.hw))
            if "depth" in frames:
                depth = depth_image(mesh, camera, lens, settings.hw)
                frames["depth"].append(depth_frame(depth, _opaque(np.isfinite(depth)), settings.radius))
            if "normal" in frames:
                normal = normal_image(mesh, camera, lens, settings.hw)
                frames["normal"].append(normal_frame(normal, _opaque(normal.any(-1))))
            task.advance(1)
    return {name: np.stack(drawn) for name, drawn in frames.items()}


def _opaque(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return mask.astype(np.uint8) * np.uint8(255)
