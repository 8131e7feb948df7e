"""A small set in the exact form of SD-30 on disk: boxes and spheres, drawn by the rasteriser."""

from pathlib import Path

import numpy as np
from PIL import Image

from evaluation.datasets.sd30 import HW, ring_cameras
from evaluation.shapes.alignment import into_unit_cube
from evaluation.shapes.depth_fusion import depth_of
from evaluation.shapes.triangles import Triangles
from geometry.camera import PAPER_LENS
from reconstruct.raster import rasterise
from tests.evaluation.shapes.solids import box_mesh, sphere_mesh

SHAPES = {"brick": box_mesh((0.2, 0.5, 0.3)), "egg": sphere_mesh(0.5, 12).transformed(np.diag([0.7, 0.8, 1.0]))}


def write_small_sd30(root: Path, suffix: str = "png") -> Path:
    """Write both shapes: pictures, depth pictures, and the mesh under another scale and origin."""
    for uid, shape in SHAPES.items():
        (root / uid).mkdir(parents=True)
        mesh = into_unit_cube(shape)
        for number, camera in enumerate(ring_cameras()):
            raster = rasterise(mesh.vertices, mesh.faces, camera, PAPER_LENS, HW)
            seen = raster.face >= 0
            colour = (mesh.vertices + 0.5)[mesh.faces[raster.face]]
            rgb = np.einsum("hwk,hwkc->hwc", raster.barycentric, colour) * 255
            rgba = np.dstack([np.where(seen[..., None], rgb, 0), seen * 255.0]).round().astype(np.uint8)
            Image.fromarray(rgba).save(root / uid / f"{number:03d}.{suffix}", lossless=True, exact=True)
            depth = np.where(seen, depth_of(raster, mesh, camera), 2.4)
            levels = np.round((depth - 0.6) / 1.8 * 65535).astype(np.uint16)
            Image.fromarray(levels).save(root / uid / f"{number:03d}-depth.png")
        np.savez(root / uid / "mesh.npz", vertices=mesh.vertices * 3 + 1, faces=mesh.faces.astype(np.int32))
    return root


def shape_mesh(uid: str) -> Triangles:
    """The mesh as the loader gives it."""
    return into_unit_cube(SHAPES[uid])
