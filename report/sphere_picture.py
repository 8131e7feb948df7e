"""Cameras around an object as pixels, like the SVG of `camera_sphere`."""

from collections.abc import Collection

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from geometry.camera import camera_centre
from report.camera_sphere import rotate_to_viewer, wire_runs

Floats = NDArray[np.float64]
FINER = 3
"""Pictures are drawn so many times larger and then shrunk, because Pillow's lines have hard edges."""
GROUND, WIRE, WIRE_FRONT, OUTLINE = (245, 246, 248), (228, 231, 236), (203, 208, 216), (190, 196, 205)
CAMERA, CAMERA_BEHIND, MARKED, CUBE = (36, 86, 230), (176, 193, 240), (217, 98, 43), (92, 100, 112)


def sphere_picture(cam_from_world: ArrayLike, side_px: int, *, marked: Collection[int] = ()) -> Image.Image:
    """Draw numbered cameras (V, 3, 4) on a square RGB picture; `marked` cameras orange, cameras behind pale."""
    centres = camera_centre(cam_from_world)
    radii = np.linalg.norm(centres, axis=-1)
    side = side_px * FINER
    scale = (side / 2 - side / 11) / max(float(radii.max()), 1e-9)
    picture = Image.new("RGB", (side, side), GROUND)
    draw = ImageDraw.Draw(picture)
    places = rotate_to_viewer(centres)
    order = [int(index) for index in np.argsort(places[:, 2])]
    behind = [index for index in order if places[index, 2] < 0]
    _cameras(draw, places, scale, behind, marked)
    _wires(draw, float(radii.mean()) * scale, side)
    _cube(draw, scale, side)
    _cameras(draw, places, scale, [index for index in order if index not in behind], marked)
    return picture.resize((side_px, side_px), Image.Resampling.LANCZOS)


def _line(draw: ImageDraw.ImageDraw, points: Floats, scale: float, side: int, colour: tuple[int, int, int]) -> None:
    places = side / 2 + points[:, :2] * scale * [1.0, -1.0]
    draw.line([(float(x), float(y)) for x, y in places], fill=colour, width=max(1, side // 260), joint="curve")


def _wires(draw: ImageDraw.ImageDraw, radius: float, side: int) -> None:
    # Back arcs first, so that front arcs are drawn over them.
    for run, front in sorted(wire_runs(), key=lambda pair: pair[1]):
        _line(draw, run, radius, side, WIRE_FRONT if front else WIRE)
    low, high = side / 2 - radius, side / 2 + radius
    draw.ellipse((low, low, high, high), outline=OUTLINE, width=max(1, side // 220))


def _cube(draw: ImageDraw.ImageDraw, scale: float, side: int) -> None:
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * 0.3
    for first in range(8):
        for second in range(first):
            if np.isclose(np.linalg.norm(corners[first] - corners[second]), 0.6):
                _line(draw, rotate_to_viewer(corners[[first, second]]), scale, side, CUBE)


def _cameras(
    draw: ImageDraw.ImageDraw, places: Floats, scale: float, chosen: list[int], marked: Collection[int]
) -> None:
    side = draw.im.size[0]
    radius = side / 26
    font = ImageFont.load_default(size=side / 23)
    for index in chosen:
        x, y = side / 2 + places[index, 0] * scale, side / 2 - places[index, 1] * scale
        behind = places[index, 2] < 0
        colour = MARKED if index in marked else CAMERA_BEHIND if behind else CAMERA
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
        draw.text((x, y), str(index), fill="white", font=font, anchor="mm")
