"""The sheet of `zero123 inspect` as a picture: views, cameras, facts and seconds of each object."""

import unicodedata
from bisect import bisect
from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from base.text import replace_controls
from geometry.camera import camera_centre
from geometry.sphere import spherical_from_cartesian
from report.images import composite, shrink
from report.numbers import seconds_text
from report.pages.object_page import InspectedObject
from report.sphere_picture import sphere_picture

COLUMNS = 6
CELL, GAP, LABEL = 156, 10, 24
SIDE, FACTS = 300, 330
MARGIN, BETWEEN, HEAD = 36, 28, 74
WIDTH = MARGIN * 2 + SIDE + COLUMNS * CELL + (COLUMNS - 1) * GAP + FACTS + 2 * BETWEEN
LINE, FOOT = 23, 64
LONGEST = 400
"""Longest text that is measured; no line is so long."""
INK, MUTED, FAINT, RULE, WARM = (20, 23, 28), (92, 100, 112), (130, 137, 148), (227, 230, 235), (201, 83, 29)
PHASES = [(36, 86, 230), (217, 98, 43), (15, 138, 109), (138, 79, 199), (196, 148, 20), (92, 100, 112), (200, 60, 110)]
SPELLED = {"×": "x", "−": "-", "–": "-", "…": "...", "→": "->", "’": "'", "“": '"', "”": '"'}


def object_sheet(objects: Sequence[InspectedObject]) -> Image.Image:
    """Draw the objects below each other on an RGB picture. Raises ValueError without objects."""
    if not objects:
        raise ValueError("expected at least 1 object, got 0")
    blocks = [_block(shown) for shown in objects]
    sheet = Image.new("RGB", (WIDTH, sum(block.height for block in blocks)), "white")
    top = 0
    for block in blocks:
        sheet.paste(block, (0, top))
        top += block.height
    return sheet


def _block(shown: InspectedObject) -> Image.Image:
    rows = -(-len(shown.views) // COLUMNS)
    body = max(rows * (CELL + LABEL) + (rows - 1) * GAP, SIDE, len(shown.facts) * LINE)
    picture = Image.new("RGB", (WIDTH, MARGIN + HEAD + body + (FOOT if shown.seconds else 0) + MARGIN), "white")
    draw = ImageDraw.Draw(picture)
    _head(draw, shown)
    top = MARGIN + HEAD
    picture.paste(sphere_picture(shown.extrinsics, SIDE, marked=shown.marked), (MARGIN, top))
    _views(picture, draw, shown, top)
    _facts(draw, shown, top)
    if shown.seconds:
        _phases(draw, shown, top + body + 26)
    draw.line((MARGIN, picture.height - 1, WIDTH - MARGIN, picture.height - 1), fill=RULE)
    return picture


def _head(draw: ImageDraw.ImageDraw, shown: InspectedObject) -> None:
    _text(draw, (MARGIN, MARGIN - 4), spell(shown.title, instead=shown.uid), 30, INK, WIDTH - 2 * MARGIN)
    height, width = shown.views[0].shape[:2]
    words = [shown.uid if shown.uid != shown.title else "", f"{len(shown.views)} views of {width} × {height} pixels"]
    _text(draw, (MARGIN, MARGIN + 36), " · ".join(word for word in words if word), 16, MUTED, WIDTH - 2 * MARGIN)


def _views(picture: Image.Image, draw: ImageDraw.ImageDraw, shown: InspectedObject, top: int) -> None:
    polar, azimuth, _ = spherical_from_cartesian(camera_centre(shown.extrinsics))
    left = MARGIN + SIDE + BETWEEN
    for index, pixels in enumerate(shown.views):
        row, column = divmod(index, COLUMNS)
        x, y = left + column * (CELL + GAP), top + row * (CELL + LABEL + GAP)
        view = Image.fromarray(composite(shrink(pixels, CELL)))
        picture.paste(view, (x + (CELL - view.width) // 2, y + (CELL - view.height) // 2))
        draw.rectangle((x, y, x + CELL - 1, y + CELL - 1), outline=WARM if index in shown.marked else RULE)
        _text(draw, (x, y + CELL + 4), str(index), 14, WARM if index in shown.marked else INK, CELL)
        angles = f"{np.degrees(azimuth[index]):.0f}° around, {90.0 - np.degrees(polar[index]):+.0f}° up"
        draw.text((x + CELL, y + CELL + 4), spell(angles), fill=FAINT, font=_font(13), anchor="ra")


def _facts(draw: ImageDraw.ImageDraw, shown: InspectedObject, top: int) -> None:
    left, names = WIDTH - MARGIN - FACTS, 112
    for number, (name, value) in enumerate(shown.facts.items()):
        y = top + number * LINE
        _text(draw, (left, y), name, 14, FAINT, names - 8)
        _text(draw, (left + names, y), value, 14, INK, FACTS - names)


def _phases(draw: ImageDraw.ImageDraw, shown: InspectedObject, top: int) -> None:
    """Draw a bar divided by the seconds of each phase, with a legend under it."""
    total, left = sum(shown.seconds.values()), MARGIN + SIDE + BETWEEN
    width, x, word_x = WIDTH - MARGIN - left, float(left), float(left)
    _text(draw, (MARGIN, top - 3), f"{seconds_text(total)}, by phase", 14, MUTED, SIDE)
    for number, (name, seconds) in enumerate(shown.seconds.items()):
        colour, length = PHASES[number % len(PHASES)], width * seconds / max(total, 1e-9)
        if length > 2:
            draw.rectangle((x, top, x + length - 2, top + 9), fill=colour)
        words = spell(f"{name} {seconds_text(seconds)}")
        if word_x + 20 + draw.textlength(words, font=_font(14)) < WIDTH - MARGIN:
            draw.rectangle((word_x, top + 22, word_x + 9, top + 31), fill=colour)
            draw.text((word_x + 15, top + 18), words, fill=MUTED, font=_font(14))
        x, word_x = x + length, word_x + 15 + draw.textlength(words, font=_font(14)) + 22


def spell(text: str, *, instead: str = "") -> str:
    """Spell `text` in the letters of Pillow's own font, without accents; `instead` if most letters would be lost."""
    words = "".join(SPELLED.get(letter, letter) for letter in " ".join(replace_controls(text).split()))
    # NFKD splits é into e and an accent, which is then left out.
    bare = "".join(letter for letter in unicodedata.normalize("NFKD", words) if not unicodedata.combining(letter))
    ascii_text = "".join(letter if letter.isascii() or letter in "°·" else "?" for letter in bare)
    return instead if instead and ascii_text.count("?") - text.count("?") > len(ascii_text) / 2 else ascii_text


def _text(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, colour: tuple[int, int, int], width_px: float
) -> None:
    """Write a line of text, cut to `width_px`."""
    # Measuring a text of megabytes would take minutes.
    words, font = spell(text[:LONGEST]), _font(size)
    if draw.textlength(words, font=font) > width_px:
        # Widths grow with the text, so the longest that fits is found by bisection.
        fits = bisect(range(len(words)), width_px, key=lambda end: draw.textlength(f"{words[:end]}...", font=font))
        words = f"{words[: max(fits - 1, 0)].rstrip()}..."
    draw.text(at, words, fill=colour, font=font)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)
