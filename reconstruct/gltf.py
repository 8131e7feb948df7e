"""Write meshes as GLB files for any viewer.

glTF is y up and takes vertex colours as linear light (glTF 2.0, §3.4 and §3.9.2). Our meshes are z up and sRGB. Without
a material viewers show black metal, so a plain material is written too.
"""

from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from geometry.colour import linear_from_srgb
from reconstruct.mesh import Mesh

GLTF_FROM_WORLD = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""(x, y, z) with z up becomes (x, z, −y) with y up, the inverse of what Blender does on import."""


def glb_bytes(mesh: Mesh) -> bytes:
    """Encode the mesh as a binary glTF with normals, linear vertex colours and a matt material."""
    linear = linear_from_srgb(mesh.colours.astype(np.float64) / 255.0)
    shape = trimesh.Trimesh(
        vertices=mesh.vertices @ GLTF_FROM_WORLD.T,
        faces=mesh.faces,
        vertex_normals=mesh.normals @ GLTF_FROM_WORLD.T,
        vertex_colors=np.round(np.pad(linear, ((0, 0), (0, 1)), constant_values=1.0) * 255.0).astype(np.uint8),
        process=False,  # or trimesh would merge vertices
    )
    return bytes(trimesh.exchange.gltf.export_glb(shape, include_normals=True, tree_postprocessor=_with_material))


def write_glb(mesh: Mesh, path: Path) -> None:
    """Write `glb_bytes` to `path`, completely or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(glb_bytes(mesh))
    partial.replace(path)


def _with_material(tree: dict[str, Any]) -> None:
    tree["materials"] = [
        {"name": "matt", "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0}, "doubleSided": True}
    ]
    for shape in tree["meshes"]:
        for primitive in shape["primitives"]:
            primitive["material"] = 0
