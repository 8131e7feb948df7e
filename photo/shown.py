"""A picture of the preparation to judge it by: the photo with the outline found, the cut-out, and the frame."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from photo.framing import frame_square
from photo.masks import MIDDLE
from photo.prepare import Prepared

Pixels = NDArray[np.uint8]
CELL, GAP, HEAD = 320, 12, 30
CHECKER_PX, CHECKER = 16, (255, 214)
OUTLINE, FRAME, TEXT = (255, 0, 110), (0, 140, 255), (60, 66, 76)


def preparation_picture(prepared: Prepared, hw: tuple[int, int]) -> Image.Image:
    """Three panels: the photo with the object's outline and the frame, the cut-out on a chequered ground, the view."""
    panels = (
        ("photo, outline and frame", _photo_panel(prepared)),
        (f"cut out: {prepared.method}", _over_checker(_fitted(prepared.cut_out))),
        (f"what the model sees, {hw[1]} x {hw[0]}", _white(prepared.view(hw))),
    )
    sheet = Image.new("RGB", (len(panels) * (CELL + GAP) - GAP, CELL + HEAD), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=15)
    for number, (words, picture) in enumerate(panels):
        x = number * (CELL + GAP)
        # A longer text would run into the next panel.
        draw.text((x + 1, 6), words[:44], fill=TEXT, font=font)
        sheet.paste(picture, (x + (CELL - picture.width) // 2, HEAD + (CELL - picture.height) // 2))
    return sheet


def _photo_panel(prepared: Prepared) -> Image.Image:
    small = _fitted(prepared.photo.rgba)
    picture = _over_checker(small)
    inside = np.asarray(_fitted(prepared.cut_out))[..., 3] > MIDDLE
    edge = ndimage.binary_dilation(inside) & ~ndimage.binary_erosion(inside)
    pixels = np.array(picture)
    pixels[edge] = OUTLINE
    shown = Image.fromarray(pixels)
    if prepared.framing.prepare == "framed":
        scale = small.width / prepared.photo.rgba.shape[1]
        box = [side * scale for side in frame_square(prepared.cut_out, prepared.framing)]
        ImageDraw.Draw(shown).rectangle(box, outline=FRAME, width=2)
    return shown


def _fitted(pixels: Pixels) -> Image.Image:
    """The picture at the panel's size, enlarged too, colours weighted by alpha."""
    height, width = pixels.shape[:2]
    scale = CELL / max(height, width)
    wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    return Image.fromarray(pixels).convert("RGBa").resize(wh, Image.Resampling.LANCZOS).convert("RGBA")


def _over_checker(picture: Image.Image) -> Image.Image:
    rows, columns = np.indices((picture.height, picture.width)) // CHECKER_PX
    ground = Image.fromarray(np.array(CHECKER, np.uint8)[(rows + columns) % 2]).convert("RGBA")
    return Image.alpha_composite(ground, picture).convert("RGB")


def _white(view: Pixels) -> Image.Image:
    picture = _fitted(view)
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
