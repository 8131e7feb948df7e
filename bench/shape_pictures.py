"""Pictures of shapes side by side: an object in its colours, and in grey the object, its hull and the surface."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from base.storage import write_atomically
from bench.scans import Scan, draw
from reconstruct.edges import vertex_normals
from reconstruct.viewpoints import orbit
from report.images import composite, encode_image

Shape = tuple[NDArray[np.float64], NDArray[np.int64]]
Pixels = NDArray[np.uint8]

HW = (192, 192)
ELEVATION_DEG = 35.0
"""From here a hollow that is open above is seen to be open."""
RADIUS = 1.8
SIDES = 3
SHOWN_SIDE = 1
"""Of the sides of an orbit, counted from the x axis."""
GREY = 0.75


def shape_strip(scan: Scan, shapes: list[Shape]) -> Pixels:
    """Draw the scan in its colours and each shape (vertices, faces) in grey, on white; (H, W · (1 + shapes), 3)."""
    camera = orbit(SIDES, ELEVATION_DEG, RADIUS)[SHOWN_SIDE]
    views = [draw(scan, camera, HW, lit=True), *(draw(_grey(shape), camera, HW, lit=True) for shape in shapes)]
    return np.concatenate([composite(view) for view in views], axis=1)


def write_sheet(strips: list[Path], file: Path) -> None:
    """Join the pictures of strips of equal width, from top to bottom, in a WebP file."""
    rows = [np.asarray(Image.open(strip).convert("RGB")) for strip in strips]
    write_atomically(file, encode_image(Image.fromarray(np.concatenate(rows)), "webp", quality=80))


def _grey(shape: Shape) -> Scan:
    vertices, faces = shape
    return Scan(
        name="",
        vertices=vertices,
        faces=faces,
        normals=vertex_normals(vertices, faces),
        tints=np.full_like(vertices, GREY),
        uv=np.full((len(vertices), 2), 0.5),
        texture=np.ones((1, 1, 3), np.float32),
    )
