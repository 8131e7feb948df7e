"""Write a textured mesh: GLB with its texture inside, OBJ with MTL and PNG beside it, PLY with vertex colours.

All files are in glTF's axes, y up (see `reconstruct.gltf`). The same mesh gives the same bytes.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image

from base.storage import write_atomically
from geometry.camera import Lens, world_from_cam
from reconstruct.gltf import GLTF_FROM_WORLD
from reconstruct.texture import TexturedMesh

Floats = NDArray[np.float64]


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
        process=False,
    )

    def add_camera(tree: dict[str, Any]) -> None:
        matrix = np.eye(4)
        matrix[:3] = world_from_cam(input_camera)
        matrix[:3] = GLTF_FROM_WORLD @ matrix[:3]
        perspective = {"yfov": lens.fov_rad, "aspectRatio": 1.0, "znear": 0.01}
        tree["cameras"] = [{"name": "input", "type": "perspective", "perspective": perspective}]
        tree["nodes"].append({"name": "input", "camera": 0, "matrix": matrix.T.reshape(-1).tolist()})
        tree["scenes"][0]["nodes"].append(len(tree["nodes"]) - 1)

    return bytes(trimesh.exchange.gltf.export_glb(shape, include_normals=True, tree_postprocessor=add_camera))


def texture_png(mesh: TexturedMesh) -> bytes:
    """Encode the texture as PNG."""
    stream = io.BytesIO()
    Image.fromarray(mesh.texture).save(stream, "png")
    return stream.getvalue()


def obj_text(mesh: TexturedMesh, material_file: str) -> str:
    """Return the mesh as Wavefront OBJ with normals and texture coordinates, v counted from the bottom."""
    lines = [f"mtllib {material_file}", "usemtl baked"]
    lines += [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in mesh.vertices @ GLTF_FROM_WORLD.T]
    lines += [f"vt {u:.6f} {1.0 - v:.6f}" for u, v in mesh.uv]
    lines += [f"vn {x:.4f} {y:.4f} {z:.4f}" for x, y, z in mesh.normals @ GLTF_FROM_WORLD.T]
    lines += ["f " + " ".join(f"{k}/{k}/{k}" for k in face) for face in mesh.faces + 1]
    return "\n".join(lines) + "\n"


def write_obj(mesh: TexturedMesh, folder: Path, name: str) -> None:
    """Write NAME.obj, NAME.mtl and NAME.png into `folder`; the OBJ comes last, so that it never lacks the others."""
    write_atomically(folder / f"{name}.png", texture_png(mesh))
    material = f"newmtl baked\nKa 0 0 0\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {name}.png\n"
    write_atomically(folder / f"{name}.mtl", material.encode())
    write_atomically(folder / f"{name}.obj", obj_text(mesh, f"{name}.mtl").encode())


def ply_bytes(mesh: TexturedMesh) -> bytes:
    """Encode the mesh as binary PLY with the texture's colour at each vertex."""
    edge = mesh.texture.shape[0]
    column, row = np.clip((mesh.uv * edge).astype(np.int64), 0, edge - 1).T
    shape = trimesh.Trimesh(
        mesh.vertices @ GLTF_FROM_WORLD.T, mesh.faces, vertex_colors=mesh.texture[row, column], process=False
    )
    return bytes(trimesh.exchange.ply.export_ply(shape))
