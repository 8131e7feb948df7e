"""Draw the true views of a GLB file with the project's own rasteriser: lit by fixed lights, antialiased, RGBA.

Light is Lambert's, without shadows: an ambient part and two lights fixed in the world. A surface has the same colour
in every view, as a matt object has.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray

from base.errors import UsageError
from geometry.camera import PAPER_LENS
from reconstruct.gltf import GLTF_FROM_WORLD
from reconstruct.raster import rasterise

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FINE = 3
"""Each pixel is the mean of this many squared."""
TEXTURE_EDGE = 512
"""Larger textures are averaged down to about this edge: a view of 128 px shows no more."""
AMBIENT = 0.45
LIGHTS = ((np.array([0.4, -0.5, 0.77]), 0.5), (np.array([-0.7, 0.6, 0.3]), 0.3))
"""Directions towards the lights, nearly unit, and their strengths."""


@dataclass(frozen=True)
class Scan:
    """An object in the unit box: `vertices` (V, 3), `faces` (F, 3), `normals` (V, 3), and what colours its faces.

    A colour is the product of `tints` (V, 3) and of `texture` (H, W, 3) at `uv` (V, 2), in pixels; both in [0, 1]. All
    materials are in a single texture, side by side.
    """

    name: str
    vertices: Floats
    faces: Ints
    normals: Floats
    tints: Floats
    uv: Floats
    texture: NDArray[np.float32]


def load_scan(path: Path) -> Scan:
    """Read a GLB file, turn it z up and scale its longest edge to 1. Raises UsageError for a file without triangles."""
    scene: Any = trimesh.load(path, force="scene")
    parts = [part for part in scene.dump() if isinstance(part, trimesh.Trimesh) and len(part.faces)]
    if not parts:
        raise UsageError(f"{path}: expected triangles, got a file without")
    textures = [_texture_and_uv(part) for part in parts]
    tints = np.concatenate([_tints(part) for part in parts])
    edge = max(texture.shape[0] for texture, _ in textures)
    wide = [np.pad(texture, ((0, edge - texture.shape[0]), (0, 0), (0, 0)), mode="edge") for texture, _ in textures]
    starts = np.cumsum([0] + [texture.shape[1] for texture in wide[:-1]])
    uv = np.concatenate([where + np.array([start, 0.0]) for (_, where), start in zip(textures, starts, strict=True)])
    counts = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
    faces = np.concatenate([part.faces + count for part, count in zip(parts, counts, strict=True)])
    # A row vector times the matrix applies its inverse: from glTF's y up to z up.
    vertices = np.concatenate([part.vertices for part in parts]) @ GLTF_FROM_WORLD
    low, high = vertices[faces].min((0, 1)), vertices[faces].max((0, 1))
    vertices = (vertices - (low + high) / 2.0) / (high - low).max()
    normals = _normals(vertices, faces)
    return Scan(path.stem, vertices, faces.astype(np.int64), normals, tints, uv, np.concatenate(wide, axis=1))


def draw(scan: Scan, cam_from_world: Floats, hw: tuple[int, int], *, lit: bool) -> NDArray[np.uint8]:
    """Draw the scan from a camera (3, 4) as straight RGBA, uint8 (H, W, 4); its plain colours if not `lit`."""
    fine = (hw[0] * FINE, hw[1] * FINE)
    raster = rasterise(scan.vertices, scan.faces, cam_from_world, PAPER_LENS, fine)
    seen = raster.face >= 0
    corners = scan.faces[raster.face[seen]]
    depth = -(scan.vertices @ cam_from_world[2, :3] + cam_from_world[2, 3])
    # The weights on the screen become weights on the triangle: divided by the depth.
    weights = raster.barycentric[seen] / depth[corners]
    weights /= weights.sum(1, keepdims=True)
    colour = np.zeros((*fine, 4))
    uv = np.einsum("nk,nkc->nc", weights, scan.uv[corners])
    normals = np.einsum("nk,nkc->nc", weights, scan.normals[corners])
    light = reflected_light(normals)[:, None] if lit else 1.0
    tints = np.einsum("nk,nkc->nc", weights, scan.tints[corners])
    colour[seen, :3] = _sampled(scan.texture, uv) * tints * light
    colour[seen, 3] = 1.0
    mean = colour.reshape(hw[0], FINE, hw[1], FINE, 4).mean((1, 3))
    # Averaged over black outside, so the division gives straight alpha again.
    mean[..., :3] /= np.maximum(mean[..., 3:], 1e-6)
    return np.asarray((mean * 255.0).round().clip(0, 255), np.uint8)


def reflected_light(normals: Floats) -> Floats:
    """Return the light reflected by white surfaces with `normals` (N, 3); (N,), at most 1."""
    unit = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    light = AMBIENT + sum(strength * np.clip(unit @ towards, 0.0, None) for towards, strength in LIGHTS)
    return np.minimum(np.asarray(light, np.float64), 1.0)


def _normals(vertices: Floats, faces: Ints) -> Floats:
    """Average the faces' normals by area at each position: seams of the texture do not split them."""
    _, same = np.unique(vertices.round(6), axis=0, return_inverse=True)
    same = same.reshape(-1)
    corners = vertices[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros((same.max() + 1, 3))
    np.add.at(total, same[faces].reshape(-1), np.repeat(across, 3, axis=0))
    return total[same]


def _tints(part: trimesh.Trimesh) -> Floats:
    """Return the colour of each vertex (V, 3) in [0, 1], which multiplies the texture."""
    visual: Any = part.visual
    if visual.kind == "vertex":
        return np.asarray(visual.vertex_colors, np.float64)[:, :3] / 255.0
    factor = getattr(getattr(visual, "material", None), "baseColorFactor", None)
    tint = np.ones(3) if factor is None else np.asarray(factor, np.float64)[:3] / 255.0
    return np.tile(tint, (len(part.vertices), 1))


def _texture_and_uv(part: trimesh.Trimesh) -> tuple[NDArray[np.float32], Floats]:
    """Return a part's texture (H, W, 3) in [0, 1] and its vertices' pixels in it; white without a texture."""
    visual: Any = part.visual
    image = getattr(getattr(visual, "material", None), "baseColorTexture", None)
    if image is None or visual.uv is None:
        return np.ones((1, 1, 3), np.float32), np.full((len(part.vertices), 2), 0.5)
    picture = image.convert("RGB")
    picture = picture.reduce(max(1, max(picture.size) // TEXTURE_EDGE))
    width, height = picture.size
    # glTF counts v from the top and trimesh from the bottom; coordinates outside [0, 1] repeat the texture.
    uv = np.asarray(visual.uv, np.float64)
    shift = np.floor(uv.mean(0))
    uv = np.clip(uv - shift, 0.0, 1.0)
    where = np.stack([uv[:, 0] * width, (1.0 - uv[:, 1]) * height], axis=1)
    return np.asarray(picture, np.float32) / 255.0, where


def _sampled(texture: NDArray[np.float32], uv: Floats) -> Floats:
    """Interpolate the texture (H, W, 3) at places (N, 2) in pixels; (N, 3)."""
    edge = np.array([texture.shape[1] - 1, texture.shape[0] - 1])
    where = np.clip(uv - 0.5, 0.0, edge)
    low = np.minimum(where.astype(np.int64), np.maximum(edge - 1, 0))
    high = np.minimum(low + 1, edge)
    part = where - low
    top = texture[low[:, 1], low[:, 0]] * (1 - part[:, :1]) + texture[low[:, 1], high[:, 0]] * part[:, :1]
    bottom = texture[high[:, 1], low[:, 0]] * (1 - part[:, :1]) + texture[high[:, 1], high[:, 0]] * part[:, :1]
    return np.asarray(top * (1 - part[:, 1:]) + bottom * part[:, 1:], np.float64)
