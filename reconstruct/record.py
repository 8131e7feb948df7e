"""What `reconstruction.json` says about a mesh: its axes and scale, the input's camera, counts, and how it was made."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from reconstruct.finish import Finished, Photo
from reconstruct.gltf import GLTF_FROM_WORLD, gltf_from_cam


def reconstruction_record(
    finished: Finished, photo: Photo, method: str, iou: float, files: Sequence[str]
) -> dict[str, Any]:
    """Describe a finished mesh as plain values; `iou` is its silhouette's with the photo, `files` its files.

    Coordinates are those of the files: glTF's axes, y up. A point p of the photo's camera is at `mesh_from_camera` p.
    """
    corners = finished.mesh.vertices @ GLTF_FROM_WORLD.T
    return {
        "method": method,
        "files": list(files),
        "silhouette_iou": iou,
        "level": finished.level,
        "watertight": finished.facts.watertight,
        "vertices": finished.facts.vertices,
        "faces": finished.facts.faces,
        "components": finished.facts.components,
        "texture": {"edge_px": finished.mesh.texture.shape[0], "seen": finished.mesh.seen},
        "axes": {"up": "+y", "right_handed": True, "origin": "the middle of the cube that was reconstructed"},
        "scale": {
            "unit": "the longest edge of the object, as the photo was framed",
            "lowest": corners.min(0).tolist(),
            "highest": corners.max(0).tolist(),
        },
        "input_camera": {
            "axes": "x right, y up, looking along -z",
            "mesh_from_camera": gltf_from_cam(photo.camera).tolist(),
            "vertical_fov_deg": float(np.rad2deg(photo.lens.fov_rad)),
            "hw": list(photo.hw),
        },
    }
