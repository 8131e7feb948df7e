"""The cut-out object in the model's square frame."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geometry.framing import Box, frame_fraction, square_around
from photo.settings import FramingSettings

Pixels = NDArray[np.uint8]
VISIBLE = 13
"""Least alpha of a pixel within the object's box: fainter pixels are the tails of a soft edge."""
SQUARE = 0.02
"""The sides of a square picture differ by at most this part."""
LEGACY_FRAME, LEGACY_OBJECT, LEGACY_ALPHA = 256, 200, 127


def object_box(rgba: Pixels, visible: int = VISIBLE) -> Box:
    """The box (left, top, right, bottom) of the pixels with more alpha than `visible`; without such pixels, of all with
    any alpha."""
    seen = rgba[..., 3] > visible
    seen = seen if seen.any() else rgba[..., 3] > 0
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    return (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))


def frame(rgba: Pixels, hw: tuple[int, int], settings: FramingSettings) -> Pixels:
    """The object of `rgba` (H, W, 4) in a frame (h, w, 4) of `hw`, by the settings' preparation."""
    if settings.prepare == "legacy":
        return frame_as_original(rgba, hw)
    return resample(rgba, frame_square(rgba, settings), hw)


def frame_square(rgba: Pixels, settings: FramingSettings) -> Box:
    """Return the square of the picture in the frame; it may reach beyond the picture. Not for `frame_as_original`."""
    if settings.prepare == "as_is" or is_framed(rgba, settings):
        return square_around((0.0, 0.0, float(rgba.shape[1]), float(rgba.shape[0])), 1.0)
    fraction = frame_fraction(settings.lens(), settings.radius, settings.extent)
    # From a near camera the object would not fit into the frame, so it is shrunk to leave the margin.
    return square_around(object_box(rgba), min(fraction, 1.0 - 2.0 * settings.margin))


def is_framed(rgba: Pixels, settings: FramingSettings) -> bool:
    """Say whether a picture is framed like a training view: square, its object whole, in the middle, of that size.

    How large the object really is cannot be told from its outline, so changing a plausible size would add an error.
    """
    height, width = rgba.shape[:2]
    if abs(height - width) > SQUARE * width or settings.prepare != "framed":
        return False
    left, top, right, bottom = object_box(rgba)
    extent = max(right - left, bottom - top) / width / frame_fraction(settings.lens(), settings.radius)
    off_centre = math.hypot(left + right - width, top + bottom - height) / 2.0 / width
    is_whole = min(left, top, width - right, height - bottom) > 0.0
    least, most = settings.kept.extents
    return is_whole and least <= extent <= most and off_centre <= settings.kept.off_centre


def framing_words(rgba: Pixels, settings: FramingSettings) -> str:
    """Say in a sentence what the framing does with a picture."""
    if settings.prepare == "legacy":
        return "framed as by the original"
    if settings.prepare == "as_is":
        return "its own framing is kept, as asked"
    if is_framed(rgba, settings):
        return "its own framing is kept, since the object is where training views have it"
    left, _, right, _ = frame_square(rgba, settings)
    part = (right - left) / max(rgba.shape[:2])
    return f"framed anew: the object is centred and made {1.0 / part:.2g} times as large in the frame"


def frame_as_original(rgba: Pixels, hw: tuple[int, int]) -> Pixels:
    """The original's preparation: a hard mask, cropped to its box, shrunk to 200 px if larger, centred on 256 white.

    The result (h, w, 4) is opaque. Source: cvlab-columbia/zero123, ldm/util.py, `load_and_preprocess`.
    """
    hard = np.where((rgba[..., 3] > LEGACY_ALPHA)[..., None], rgba[..., :3], 255).astype(np.uint8)
    left, top, right, bottom = (int(side) for side in object_box(rgba, LEGACY_ALPHA))
    piece = Image.fromarray(hard[top:bottom, left:right])
    # `thumbnail` only shrinks: small objects stay small, as in the original.
    piece.thumbnail((LEGACY_OBJECT, LEGACY_OBJECT), Image.Resampling.LANCZOS)
    square = Image.new("RGBA", (LEGACY_FRAME, LEGACY_FRAME), "white")
    square.paste(piece, ((LEGACY_FRAME - piece.width) // 2, (LEGACY_FRAME - piece.height) // 2))
    if hw != (LEGACY_FRAME, LEGACY_FRAME):
        square = square.resize((hw[1], hw[0]), Image.Resampling.LANCZOS)
    return np.asarray(square)


def resample(rgba: Pixels, box: Box, hw: tuple[int, int]) -> Pixels:
    """What `box` of the picture shows, in `hw` pixels; beyond the picture it is transparent.

    Colours are weighted by alpha: no hidden colour bleeds into an edge.
    """
    left, top, right, bottom = box
    height, width = rgba.shape[:2]
    # Whole pixels around the box; the resampling then cuts at its fractions.
    first, last = (math.floor(left), math.floor(top)), (math.ceil(right), math.ceil(bottom))
    room = Image.new("RGBa", (last[0] - first[0], last[1] - first[1]))
    crop = (max(first[0], 0), max(first[1], 0), min(last[0], width), min(last[1], height))
    # Pillow's mode RGBa holds premultiplied colours; resizing RGBA would mix in the colours of transparent pixels.
    premultiplied = Image.fromarray(rgba[crop[1] : crop[3], crop[0] : crop[2]]).convert("RGBa")
    room.paste(premultiplied, (crop[0] - first[0], crop[1] - first[1]))
    inside = (left - first[0], top - first[1], right - first[0], bottom - first[1])
    return np.asarray(room.resize((hw[1], hw[0]), Image.Resampling.LANCZOS, box=inside).convert("RGBA"))
