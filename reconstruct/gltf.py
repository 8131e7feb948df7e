"""Write textured meshes as GLB files for any viewer, with the input's camera as a node.

glTF is y up (glTF 2.0, §3.4); our meshes are z up. The material is matt, because viewers show black metal without one,
and reflects nothing: the picture in the texture already has all the light that a viewer should see.
"""

from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image

from geometry.camera import Lens, world_from_cam
from reconstruct.texture import TexturedMesh

Floats = NDArray[np.float64]

GLTF_FROM_WORLD = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""(x, y, z) with z up becomes (x, z, −y) with y up, the inverse of what Blender does on import."""
MATT = {"KHR_materials_specular": {"specularFactor": 0.0}}
"""Without it viewers add a white sheen to every colour, 4 % of the light: dark blue turns grey."""
NEAREST = 0.01
"""The near plane of the input's camera, in world units."""


def gltf_from_cam(camera: Floats) -> Floats:
    """Return the (4, 4) matrix from the axes of a camera `cam_from_world` (3, 4) to glTF's world."""
    matrix = np.eye(4)
    matrix[:3] = GLTF_FROM_WORLD @ world_from_cam(camera)
    return matrix


def textured_glb(mesh: TexturedMesh, input_camera: Floats, lens: Lens) -> bytes:
    """Encode a mesh as binary glTF with a matt textured material, and the input's camera (3, 4) as a node."""
    material = trimesh.visual.material.PBRMaterial(
        name="baked",
        baseColorTexture=Image.fromarray(mesh.texture),
        metallicFactor=0.0,
        roughnessFactor=1.0,
        doubleSided=True,
    )
    # trimesh counts v from the bottom and turns it round on export.
    uv = np.stack([mesh.uv[:, 0], 1.0 - mesh.uv[:, 1]], axis=1)
    shape = trimesh.Trimesh(
        vertices=mesh.vertices @ GLTF_FROM_WORLD.T,
        faces=mesh.faces,
        vertex_normals=mesh.normals @ GLTF_FROM_WORLD.T,
        visual=trimesh.visual.TextureVisuals(uv=uv, material=material),
        # Otherwise trimesh merges vertices at the same position, although their uv differ along seams.
        process=False,
    )

    def complete(tree: dict[str, Any]) -> None:
        tree["materials"][0]["extensions"] = MATT
        tree["extensionsUsed"] = list(MATT)
        # Input views are square, so the vertical field of view is the lens's.
        perspective = {"yfov": lens.fov_rad, "aspectRatio": 1.0, "znear": NEAREST}
        tree["cameras"] = [{"name": "input", "type": "perspective", "perspective": perspective}]
        # glTF stores matrices column by column.
        matrix = gltf_from_cam(input_camera).T.reshape(-1).tolist()
        tree["nodes"].append({"name": "input", "camera": 0, "matrix": matrix})
        tree["scenes"][0]["nodes"].append(len(tree["nodes"]) - 1)

    return bytes(trimesh.exchange.gltf.export_glb(shape, include_normals=True, tree_postprocessor=complete))
