"""Composites that stand in for photos: a rendered object before a wall, a gradient, textures, or with a cast shadow."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

KINDS = ("plain", "gradient", "shadow", "wood", "noise")
SMOOTH = ("plain", "gradient")
SENSOR_NOISE, JPEG_QUALITY = 1.5, 92


def composite(rgba: Pixels, kind: str, rng: np.random.Generator) -> Pixels:
    """A render (H, W, 4) as a photo (H, W, 3): over a background of the kind, with sensor noise, through a JPEG."""
    hw = (rgba.shape[0], rgba.shape[1])
    ground = background(kind, hw, rng)
    if kind == "shadow":
        ground = ground * (1.0 - cast_shadow(rgba[..., 3], rng))[..., None]
    alpha = rgba[..., 3:] / 255.0
    seen = rgba[..., :3] * alpha + ground * (1.0 - alpha)
    # Noise and JPEG come after the composite, as in a camera: flat colours would make the cut-out too easy.
    seen = seen + rng.normal(0.0, SENSOR_NOISE, seen.shape)
    stream = io.BytesIO()
    Image.fromarray(np.clip(np.rint(seen), 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=JPEG_QUALITY)
    return np.asarray(Image.open(stream))


def background(kind: str, hw: tuple[int, int], rng: np.random.Generator) -> Floats:
    """The scene behind the object, (H, W, 3) in [0, 255]."""
    rows, columns = np.mgrid[0 : hw[0], 0 : hw[1]] / max(hw)
    wall = wall_colour(rng)
    if kind == "plain":
        return np.broadcast_to(wall, (*hw, 3)).astype(np.float64)
    if kind in ("gradient", "shadow"):
        angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.35)
        along = (rows - 0.5) * np.sin(angle) + (columns - 0.5) * np.cos(angle)
        corner = np.hypot(rows - rng.uniform(0, 1), columns - rng.uniform(0, 1))
        light = 1.0 + strength * along - 0.2 * strength * corner**2
        return np.asarray(np.clip(wall * light[..., None], 0, 255), np.float64)
    if kind == "wood":
        return wood(rows, columns, rng)
    return noise_texture(hw, wall, rng)


def wall_colour(rng: np.random.Generator) -> Floats:
    """A wall or a table: any hue, little saturation, from middle grey to nearly white; [0, 255]."""
    value, saturation, hue = rng.uniform(0.45, 0.97), rng.uniform(0.0, 0.35), rng.uniform(0, 2 * np.pi)
    # Three cosines a third of a turn apart are a hue.
    tint = np.cos(hue + np.array([0.0, 2.1, 4.2]))
    shade = 1.0 + saturation * 0.5 * (tint - tint.max())
    return np.asarray(np.clip(255.0 * value * shade, 0, 255), np.float64)


def wood(rows: Floats, columns: Floats, rng: np.random.Generator) -> Floats:
    """Planks with grain along one axis."""
    along, across = (rows, columns) if rng.random() < 0.5 else (columns, rows)
    wobble = ndimage.gaussian_filter(rng.normal(size=rows.shape), 24) * 0.6
    rings = np.sin(2 * np.pi * (across * rng.uniform(8, 16) + wobble * 8 + 0.3 * np.sin(along * 5)))
    axis = (9.0, 0.6) if along is rows else (0.6, 9.0)
    grain = ndimage.gaussian_filter(rng.normal(size=rows.shape), axis)
    # A Gaussian filter shrinks the deviation, so it is restored.
    grain /= grain.std()
    plank = np.floor(across * rng.integers(3, 6))
    tone = rng.uniform(0.85, 1.1, 8)[plank.astype(int)]
    joint = np.abs(across * 4 % 1.0 - 0.5) > 0.49
    light = tone * (1.0 + 0.09 * rings + 0.05 * grain) * np.where(joint, 0.75, 1.0)
    colour = np.array([150.0, 105.0, 65.0]) * rng.uniform(0.8, 1.4)
    return np.asarray(np.clip(colour * light[..., None], 0, 255), np.float64)


def noise_texture(hw: tuple[int, int], wall: Floats, rng: np.random.Generator) -> Floats:
    """Blotches at several sizes with colours of their own, as on stone, cloth or gravel."""
    scene = np.broadcast_to(wall, (*hw, 3)).astype(np.float64)
    for sigma, strength in ((1.0, 9.0), (3.0, 12.0), (10.0, 16.0)):
        blotches = ndimage.gaussian_filter(rng.normal(size=(*hw, 3)), (sigma, sigma, 0))
        grey = ndimage.gaussian_filter(rng.normal(size=hw), sigma)
        mixed = 0.4 * blotches / blotches.std() + (grey / grey.std())[..., None]
        scene = scene + strength * mixed
    return np.clip(scene, 0, 255)


def cast_shadow(alpha: Pixels, rng: np.random.Generator) -> Floats:
    """How much light a shadow on the ground takes, (H, W) in [0, 1]: the silhouette laid flat at the object's foot."""
    inside = alpha > 127
    rows = np.flatnonzero(inside.any(1))
    foot, height = rows.max(), rows.max() - rows.min()
    flat, lean = rng.uniform(0.2, 0.4), rng.uniform(-0.8, 0.8)
    at_rows, at_columns = np.mgrid[0 : alpha.shape[0], 0 : alpha.shape[1]].astype(np.float64)
    # Each pixel of the ground is looked up in the silhouette, flattened and leaning.
    source_rows = foot - (foot + 0.06 * height - at_rows) / flat
    source_columns = at_columns - lean * (foot - source_rows) * flat
    laid = ndimage.map_coordinates(inside.astype(np.float64), [source_rows, source_columns], order=1)
    soft = ndimage.gaussian_filter(laid, rng.uniform(3.0, 6.0))
    return np.asarray(rng.uniform(0.25, 0.55) * soft, np.float64)
