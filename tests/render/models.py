"""Small models whose points are known, made with trimesh."""

from pathlib import Path

import numpy as np
import trimesh

from base.digest import sha256_bytes

MARKERS = {
    (255, 0, 0): (0.0, 0.0, 0.0),
    (0, 255, 0): (4.0, 0.5, -1.0),
    (0, 0, 255): (1.0, 3.0, 0.5),
    (255, 255, 0): (0.3, -0.6, 2.4),
    (255, 0, 255): (-1.0, 1.2, -0.8),
    (0, 255, 255): (2.2, -0.4, -1.9),
}
"""Colour of each marker, and where its centre is in the file (glTF axes: y up). No symmetry maps the set to itself."""

MARKER_RADIUS = 0.09


def markers_glb(path: Path) -> Path:
    """Small glowing balls at MARKERS, each under its own moved, turned and scaled node."""
    scene = trimesh.Scene()
    for number, (colour, centre) in enumerate(MARKERS.items()):
        ball = trimesh.creation.icosphere(subdivisions=2, radius=MARKER_RADIUS * 5.0)
        glow = [value / 255 for value in colour]
        black = trimesh.visual.material.PBRMaterial(
            baseColorFactor=[0, 0, 0, 255], emissiveFactor=glow, roughnessFactor=1.0, metallicFactor=0.0
        )
        ball.visual = trimesh.visual.TextureVisuals(material=black)
        place = trimesh.transformations.rotation_matrix(0.7 * number, [1, 2, 3])
        place[:3, :3] *= 0.2
        place[:3, 3] = centre
        scene.add_geometry(ball, node_name=f"ball{number}", transform=place)
    path.write_bytes(scene.export(file_type="glb"))
    return path


def marker_bounds() -> tuple[np.ndarray, np.ndarray]:
    """The box around all markers in our world: z up, so glTF's (x, y, z) is our (x, −z, y)."""
    centres = np.array(list(MARKERS.values()))[:, [0, 2, 1]] * [1, -1, 1]
    return centres.min(axis=0) - MARKER_RADIUS, centres.max(axis=0) + MARKER_RADIUS


def in_unit_box(centre: tuple[float, float, float]) -> np.ndarray:
    """Where a marker stands once the model is normalised."""
    low, high = marker_bounds()
    x, y, z = centre
    return np.asarray((np.array([x, -z, y]) - (low + high) / 2) / (high - low).max())


def digests(folder: Path) -> dict[str, str]:
    """The digest of every file in a folder of views."""
    return {path.name: sha256_bytes(path.read_bytes()) for path in sorted(folder.iterdir())}


PARTS = {
    (230, 40, 30): ((0.0, 0.0, 0.0), (1.6, 0.5, 0.5)),
    (40, 200, 60): ((-0.6, 0.5, 0.4), (0.4, 0.9, 0.5)),
    (50, 80, 230): ((0.5, -0.1, 0.7), (0.3, 0.3, 1.1)),
}
"""Colour, centre and edges of each box of the marker object, in our axes (z up). No turn maps it to itself."""


def marker_object(*, up: str, linear: bool, shift: float = 0.0) -> trimesh.Trimesh:
    """The boxes of PARTS as one mesh with a colour at every vertex, with `up` ("y" or "z") pointing up.

    glTF wants colours linear, others as they are shown.
    """
    boxes = []
    for colour, (centre, edges) in PARTS.items():
        box = trimesh.creation.box(edges).subdivide()
        box.apply_translation(np.array(centre) + shift)
        value = 255 * (np.array(colour) / 255) ** 2.2 if linear else np.array(colour)
        box.visual.vertex_colors = np.tile([*value.round(), 255], (len(box.vertices), 1)).astype(np.uint8)
        boxes.append(box)
    whole = trimesh.util.concatenate(boxes)
    if up == "y":
        whole.apply_transform(trimesh.transformations.rotation_matrix(-np.pi / 2, [1, 0, 0]))
    return whole


def write_marker_object(path: Path) -> Path:
    """The marker object in the format of the path's suffix."""
    suffix = path.suffix[1:].lower()
    shape = marker_object(up="z" if suffix in {"ply", "stl"} else "y", linear=suffix == "glb", shift=3.0)
    path.write_bytes(data.encode() if isinstance(data := shape.export(file_type=suffix), str) else data)
    return path
