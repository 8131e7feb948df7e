"""The pictures of docs/photos.md, made anew: python -m docs.photo_pictures

Composites stand in for photos: renders of shipped objects before made-up backgrounds (see bench/composites.py).
"""

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from app.settings import load_settings
from base.seeds import stable_rng
from base.storage import write_atomically
from bench.composites import composite
from docs.pictures import lit
from photo.prepare import prepare_photo
from photo.read import Photo
from photo.shown import preparation_picture
from render.child import RenderChild
from report.images import encode_image

PAGE = Path(__file__).parent / "photos" / "prepared.png"
SHOWN = (("van", "shadow"), ("dog", "gradient"), ("sofa", "wood"))
ELEVATION_DEG, AZIMUTH_DEG, HW, GAP = 25.0, 40.0, (256, 256), 8


def main() -> int:
    """Render, compose, prepare, and write one sheet."""
    settings = load_settings(None)
    rows = []
    with tempfile.TemporaryDirectory() as scratch, RenderChild(settings.render) as child:
        for name, kind in SHOWN:
            rgba = lit(child, settings.render, Path(scratch), name, ELEVATION_DEG, AZIMUTH_DEG)
            small = np.asarray(Image.fromarray(rgba).convert("RGBa").resize((180, 180)).convert("RGBA"))
            canvas = np.zeros((256, 340, 4), np.uint8)
            canvas[60:240, 30:210] = small
            photo = composite(canvas, kind, stable_rng(0, "docs", name))
            opaque = np.dstack([photo, np.full(photo.shape[:2], 255, np.uint8)])
            rows.append(preparation_picture(prepare_photo(Photo(name, opaque, ""), settings.photo), HW))
    sheet = Image.new("RGB", (rows[0].width, sum(row.height + GAP for row in rows) - GAP), "white")
    for number, row in enumerate(rows):
        sheet.paste(row, (0, number * (row.height + GAP)))
    write_atomically(PAGE, encode_image(sheet, "png"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
