"""Write a textured mesh: GLB or USDZ with its texture inside, OBJ with MTL and PNG beside it, PLY with vertex colours.

All files are in glTF's axes, y up (see `reconstruct.gltf`). The same mesh gives the same bytes.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image

from base.storage import write_atomically
from geometry.camera import Lens
from reconstruct.gltf import GLTF_FROM_WORLD, textured_glb
from reconstruct.settings import MeshFormat
from reconstruct.texture import TexturedMesh
from reconstruct.usdz import check_usd, usdz_bytes

Floats = NDArray[np.float64]


def write_mesh(
    mesh: TexturedMesh, folder: Path, name: str, also: Sequence[MeshFormat], input_camera: Floats, lens: Lens
) -> list[str]:
    """Write NAME.glb with the input's camera (3, 4) into `folder`, and the same mesh in the formats `also`; the names.

    The GLB comes last, so that it never lacks the others.
    """
    names = []
    if "obj" in also:
        names += write_obj(mesh, folder, name)
    if "ply" in also:
        names.append(f"{name}.ply")
        write_atomically(folder / names[-1], ply_bytes(mesh))
    if "usdz" in also:
        names.append(f"{name}.usdz")
        write_atomically(folder / names[-1], usdz_bytes(mesh, texture_png(mesh), input_camera, lens))
    write_atomically(folder / f"{name}.glb", textured_glb(mesh, input_camera, lens))
    return [f"{name}.glb", *names]


def check_formats(also: Sequence[MeshFormat]) -> None:
    """Raise Failure when the package for a format is not installed."""
    if "usdz" in also:
        check_usd()


def write_obj(mesh: TexturedMesh, folder: Path, name: str) -> list[str]:
    """Write NAME.obj, NAME.mtl and NAME.png into `folder`, and return their names; the OBJ comes last."""
    names = [f"{name}.obj", f"{name}.mtl", f"{name}.png"]
    material = f"newmtl baked\nKa 0 0 0\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {name}.png\n"
    contents = [obj_text(mesh, names[1]).encode(), material.encode(), texture_png(mesh)]
    for file, content in reversed(list(zip(names, contents, strict=True))):
        write_atomically(folder / file, content)
    return names


def obj_text(mesh: TexturedMesh, material_file: str) -> str:
    """Return the mesh as Wavefront OBJ with normals and texture coordinates, v counted from the bottom."""
    lines = [f"mtllib {material_file}", "usemtl baked"]
    lines += [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in mesh.vertices @ GLTF_FROM_WORLD.T]
    lines += [f"vt {u:.6f} {1.0 - v:.6f}" for u, v in mesh.uv]
    lines += [f"vn {x:.4f} {y:.4f} {z:.4f}" for x, y, z in mesh.normals @ GLTF_FROM_WORLD.T]
    # OBJ counts from 1.
    lines += ["f " + " ".join(f"{k}/{k}/{k}" for k in face) for face in mesh.faces + 1]
    return "\n".join(lines) + "\n"


def texture_png(mesh: TexturedMesh) -> bytes:
    """Encode the texture as PNG."""
    stream = io.BytesIO()
    Image.fromarray(mesh.texture).save(stream, "png")
    return stream.getvalue()


def ply_bytes(mesh: TexturedMesh) -> bytes:
    """Encode the mesh as binary PLY with the texture's colour at each vertex."""
    shape = trimesh.Trimesh(mesh.vertices @ GLTF_FROM_WORLD.T, mesh.faces, vertex_colors=mesh.colours, process=False)
    return bytes(trimesh.exchange.ply.export_ply(shape))
