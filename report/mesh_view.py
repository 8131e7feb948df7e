"""An interactive mesh viewer inside the page: WebGL, no library, no requests.

The page holds the buffers as base64: positions as 16-bit steps along the longest edge of the bounding box, colours as
8-bit sRGB, faces as 16-bit indices. `templates/mesh_view.js` reads exactly this.
"""

import base64
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray

from report.escape import html
from report.simplify import ColouredMesh, coloured_mesh, simplify

STEPS = 65535
MAX_VERTICES = 65535
MAX_FACES = 60_000


@dataclass(frozen=True)
class MeshBuffers:
    """Buffers of the viewer: `positions` (V, 3) uint16, `colours` (V, 3) uint8, `faces` (F, 3) uint16.

    A vertex is at `low` + position × `step`, in world axes (z up).
    """

    positions: NDArray[np.uint16]
    colours: NDArray[np.uint8]
    faces: NDArray[np.uint16]
    low: NDArray[np.float64]
    step: float

    def packed(self) -> bytes:
        """Concatenate positions, faces and colours, little-endian."""
        # 16-bit arrays first: a typed array in JavaScript must start at an even byte.
        parts = (self.positions.astype("<u2"), self.faces.astype("<u2"), self.colours)
        return b"".join(part.tobytes() for part in parts)


def mesh_buffers(mesh: ColouredMesh) -> MeshBuffers:
    """Quantise a mesh, with an error of at most half a step per axis. Raises ValueError past 65,535 vertices."""
    if len(mesh.vertices) > MAX_VERTICES:
        raise ValueError(f"expected at most {MAX_VERTICES} vertices, got {len(mesh.vertices)}")
    low = mesh.vertices.min(axis=0)
    # A common step for all axes keeps proportions.
    step = max(float((mesh.vertices.max(axis=0) - low).max()), 1e-9) / STEPS
    positions = np.rint((mesh.vertices - low) / step).clip(0, STEPS).astype(np.uint16)
    return MeshBuffers(positions, mesh.colours, mesh.faces.astype(np.uint16), low, step)


def mesh_view(
    vertices: ArrayLike, faces: ArrayLike, colours: ArrayLike, *, label: str, fallback: Markup,
    start_polar_rad: float = 1.2, start_azimuth_rad: float = 0.5,
) -> Markup:  # fmt: skip
    """Make a viewer of vertices (V, 3), faces (F, 3), colours (V, 3 or 4) uint8; the page needs `script()`.

    The first view is from the given direction. `fallback` is shown without WebGL or scripts. Meshes past 60,000 faces
    are simplified for the page. Raises ValueError for arrays of a wrong shape or type.
    """
    mesh = simplify(coloured_mesh(vertices, faces, colours), max_faces=MAX_FACES, max_vertices=MAX_VERTICES)
    buffers = mesh_buffers(mesh)
    template = Markup(
        '<div class="mesh-view" data-vertices="{}" data-faces="{}" data-polar="{:.4f}" data-azimuth="{:.4f}">'
        '<canvas tabindex="0" role="img" aria-label="{}" hidden></canvas><div class="fallback">{}</div>'
        '<div class="controls" hidden><button type="button" data-do="play" aria-pressed="false">Turn</button>'
        '<button type="button" data-do="home">Photo’s side</button>'
        '<button type="button" data-do="out" aria-label="Zoom out">−</button>'
        '<button type="button" data-do="in" aria-label="Zoom in">+</button></div>'
        '<script type="application/octet-stream">{}</script></div>'
    )
    packed = base64.b64encode(buffers.packed()).decode("ascii")
    direction = (start_polar_rad, start_azimuth_rad)
    return template.format(len(mesh.vertices), len(mesh.faces), *direction, html(label), fallback, packed)


def is_simplified(vertices: ArrayLike, faces: ArrayLike) -> bool:
    """Whether `mesh_view` shows a coarser mesh than the given mesh."""
    return len(np.asarray(faces)) > MAX_FACES or len(np.asarray(vertices)) > MAX_VERTICES


@cache
def script() -> str:
    """Read the viewer's JavaScript; a page needs it once for all its meshes."""
    return (Path(__file__).parent / "templates" / "mesh_view.js").read_text(encoding="utf-8")
