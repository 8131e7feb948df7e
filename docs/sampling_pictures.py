"""The picture of docs/sampling.md, made anew: python -m docs.sampling_pictures

Composites stand in for photos, as in docs/photo_pictures.py; the packaged model makes the views.
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
from inference.plan import orbit_moves, poses_of
from photo.prepare import prepare_photo
from photo.read import Photo
from render.child import RenderChild
from report.contact_sheet import contact_sheet
from report.images import encode_image
from zero123.pipeline import Zero123Pipeline

PAGE = Path(__file__).parent / "sampling" / "orbits.png"
SHOWN = (("van", "plain"), ("dog", "gradient"), ("stool", "plain"))
ELEVATION_DEG, AZIMUTH_DEG, VIEWS, CELL_PX = 25.0, 40.0, 8, 128


def main() -> int:
    """Render, compose, prepare, sample an orbit of each, and write one sheet: a row for each photo."""
    settings, pipeline = load_settings(None), Zero123Pipeline.from_pretrained("mini")
    poses = pipeline.adapt_poses(poses_of(orbit_moves(VIEWS)[1:]), float(np.radians(90.0 - ELEVATION_DEG)))
    cells = []
    with tempfile.TemporaryDirectory() as scratch, RenderChild(settings.render) as child:
        for name, kind in SHOWN:
            rgba = lit(child, settings.render, Path(scratch), name, ELEVATION_DEG, AZIMUTH_DEG)
            photo = composite(rgba, kind, stable_rng(0, "docs-sampling", name))
            opaque = np.dstack([photo, np.full(photo.shape[:2], 255, np.uint8)])
            prepared = prepare_photo(Photo(name, opaque, ""), settings.photo)
            made = pipeline.views(prepared.view(pipeline.hw), poses, seeds=range(len(poses)))
            cells += [photo, *made]
    sheet = contact_sheet(cells, columns=VIEWS, cell_px=CELL_PX)
    white = Image.alpha_composite(Image.new("RGBA", sheet.size, "white"), sheet).convert("RGB")
    PAGE.parent.mkdir(exist_ok=True)
    write_atomically(PAGE, encode_image(white, "png"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
