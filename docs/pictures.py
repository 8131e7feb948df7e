"""The pictures of docs/rendering.md, rendered anew: python -m docs.pictures [lights] [presets] [passes] [cases]

Every light on the same objects from the same cameras; every preset on the same object, each from its own cameras;
every pass of two views.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from app.settings import load_settings
from base.errors import Failure
from base.outcomes import Outcome
from base.passes import PASS_FILES, pass_file
from base.storage import write_atomically
from geometry.camera import look_at_origin
from geometry.sphere import cartesian_from_spherical
from render.child import RenderChild
from render.job import RenderJob, view_name
from render.lights import draw_lights
from render.run import render_views
from render.settings import RenderSettings
from report.contact_sheet import sheet_grid
from report.images import composite, encode_image, shrink

Pixels = NDArray[np.uint8]
DOCS = Path(__file__).parent
EXAMPLES = DOCS.parent / "examples" / "objects"
SEED = 0
CELL, GAP, HEAD = 184, 8, 34

LIT = (("van", 25.0, 40.0), ("van", -30.0, 300.0), ("burger", 15.0, 20.0), ("dog", 20.0, 320.0))
"""Object, elevation and azimuth in degrees; one from below, where most lights leave off."""
LIT_RADIUS = 1.75
PRESETS = (
    ("pipeline.yaml, and so paper and small: 256 x 256, 13 samples", ()),
    ("tiny: the same at 128 x 128", ("tiny",)),
    ("legacy: 512 x 512, 128 samples, the original's cameras, lights, Filmic and hard alpha", ("legacy",)),
    ("fit: no view cuts the object off", ("fit",)),
)
SHOWN, SHOWN_VIEWS = "fridge", 6
PASSED = "van"


CASES = DOCS.parent / "tests" / "render" / "cases"
CASE_NAMES = ("sketchup_house", "room_single_sided", "foliage_mask_24")
AS_BLENDER = (
    "render.backfaces=shown",
    "render.coincident_faces=kept",
    "render.bounds=all",
    "render.importer_quirks=kept",
    "render.bounces.transparent=8",
)
"""What makes pictures as Blender's importers and defaults have them."""

SKY_HW = (128, 256)
SUN_ELEVATION_DEG, SUN_RADIUS_DEG, SUN_RADIANCE = 38.0, 7.0, 55.0


def main() -> int:
    """Render what is asked for and say how large it became."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="*", help="lights, presets, passes, cases; default: all")
    which = parser.parse_args().which or ["lights", "presets", "passes", "cases"]
    with tempfile.TemporaryDirectory() as scratch:
        if "lights" in which:
            _write("lights.png", lights_picture(Path(scratch)))
        if "presets" in which:
            _write("presets.png", presets_picture(Path(scratch)))
        if "passes" in which:
            _write("passes.png", passes_picture(Path(scratch)))
        if "cases" in which:
            _write("cases.png", cases_picture(Path(scratch)))
    return 0


def lights_picture(scratch: Path) -> Image.Image:
    """A column for each light, a row for each object and camera."""
    (scratch / "maps").mkdir()
    (scratch / "maps" / "sky.hdr").write_bytes(radiance_bytes(sky()))
    maps = f"render.lights.hdri.maps={scratch / 'maps'}"
    shipped = load_settings(DOCS.parent / "pipeline.yaml", (), [maps]).render
    names = list(shipped.lights)
    columns = []
    with RenderChild(shipped) as child:
        for name in names:
            settings = shipped.model_copy(update={"light": name})
            columns.append([lit(child, settings, scratch, *row) for row in LIT])
    return sheet(list(zip(*columns, strict=True)), [names, *[[]] * (len(LIT) - 1)])


def lit(
    child: RenderChild, settings: RenderSettings, scratch: Path, name: str, elevation_deg: float, azimuth_deg: float
) -> Pixels:
    """An object by a light from a camera, as RGBA."""
    source = EXAMPLES / f"{name}.glb"
    polar, azimuth = np.radians(90.0 - elevation_deg), np.radians(azimuth_deg)
    job = RenderJob(
        uid=name,
        file=str(source),
        seed=SEED,
        settings=settings.model_dump(mode="json"),
        extrinsics=[look_at_origin(cartesian_from_spherical(polar, azimuth, LIT_RADIUS)).tolist()],
        lights=draw_lights(settings.chosen_lights, name, SEED),
        out_dir=str(scratch),
    )
    _check(child.render(job).outcome, name)
    return _read(scratch / view_name(0))


def presets_picture(scratch: Path) -> Image.Image:
    """A row for each preset, with its first views."""
    rows = []
    for number, (_, presets) in enumerate(PRESETS):
        settings = load_settings(DOCS.parent / "pipeline.yaml", presets, [f"render.views={SHOWN_VIEWS}"]).render
        folder = scratch / str(number)
        with RenderChild(settings) as child:
            source = EXAMPLES / f"{SHOWN}.glb"
            _check(render_views(child, source, SHOWN, settings, SEED, folder).outcome, SHOWN)
        rows.append([_read(folder / view_name(view)) for view in range(SHOWN_VIEWS)])
    return sheet(rows, [[heading] for heading, _ in PRESETS])


def passes_picture(scratch: Path) -> Image.Image:
    """A row for each of two views: the picture, and then its passes, numbers as colours."""
    asked = [f"render.passes=[{','.join(PASS_FILES)}]", "render.views=2"]
    settings = load_settings(DOCS.parent / "pipeline.yaml", (), asked).render
    with RenderChild(settings) as child:
        source = EXAMPLES / f"{PASSED}.glb"
        _check(render_views(child, source, PASSED, settings, SEED, scratch / "passes").outcome, PASSED)
    rows = []
    for view in range(2):
        mask = _read(scratch / "passes" / pass_file(view, "mask"))[..., 0]
        shown = [as_colours(scratch / "passes" / pass_file(view, name), mask) for name in PASS_FILES]
        rows.append([_read(scratch / "passes" / view_name(view)), *shown])
    return sheet(rows, [["picture", *PASS_FILES], []])


def cases_picture(scratch: Path) -> Image.Image:
    """A row for each small model that Blender alone gets wrong: two views by its own rules, and two by ours."""
    rows = []
    for name in CASE_NAMES:
        row: list[Pixels] = []
        for side, changes in (("before", AS_BLENDER), ("after", ())):
            asked = ["render.views=2", "render.light=uniform", "render.checks.bad=[]", *changes]
            settings = load_settings(DOCS.parent / "pipeline.yaml", (), asked).render
            folder = scratch / "cases" / name / side
            with RenderChild(settings) as child:
                _check(render_views(child, CASES / f"{name}.glb", name, settings, SEED, folder).outcome, name)
            row += [_read(folder / view_name(view)) for view in range(2)]
        rows.append(row)
    return sheet(rows, [["before", "", "after", ""], [], []])


def as_colours(path: Path, mask: NDArray[np.uint8]) -> Pixels:
    """A pass as RGBA: depths from near (light) to far, vectors as 128 + 127 x, others as they are."""
    if path.suffix == ".png":
        return _read(path)
    if path.suffix == ".webp":
        return np.dstack([_read(path)[..., :3], mask])
    values = np.load(path, allow_pickle=False).astype(np.float64)
    seen = mask > 0
    if values.ndim == 2:
        near, far = values[seen].min(), values[seen].max()
        values = np.repeat(((far - values) / (far - near) * 215 + 40)[..., None], 3, axis=-1)
    else:
        values = 128 + 127 * values
    return np.dstack([np.where(seen[..., None], values, 0).astype(np.uint8), mask])


def sheet(rows: Sequence[Sequence[Pixels]], headings: Sequence[Sequence[str]]) -> Image.Image:
    """Rows of pictures on white, each in a thin frame; a row's headings stand over its first pictures."""
    heights = [CELL + GAP + (HEAD if texts else 0) for texts in headings]
    width = sheet_grid(len(rows[0]), (CELL, CELL), columns=len(rows[0]), gap=GAP).hw[1]
    picture = Image.new("RGB", (width, sum(heights)), "white")
    draw, font, top = ImageDraw.Draw(picture), ImageFont.load_default(size=17), 0
    for row, texts, height in zip(rows, headings, heights, strict=True):
        for column, text in enumerate(texts):
            draw.text((column * (CELL + GAP) + 1, top + 8), text, fill=(60, 66, 76), font=font)
        y = top + height - CELL - GAP
        for column, pixels in enumerate(row):
            x, view = column * (CELL + GAP), Image.fromarray(composite(shrink(pixels, CELL)))
            picture.paste(view, (x + (CELL - view.width) // 2, y + (CELL - view.height) // 2))
            draw.rectangle((x, y, x + CELL - 1, y + CELL - 1), outline=(227, 230, 235))
        top += height
    return picture


def sky() -> NDArray[np.float64]:
    """A map of all directions (H, W, 3), linear: a blue sky that pales downwards, a low warm sun, dark ground."""
    elevation = np.radians(90.0 - (np.arange(SKY_HW[0]) + 0.5) / SKY_HW[0] * 180.0)[:, None]
    azimuth = np.radians((np.arange(SKY_HW[1]) + 0.5) / SKY_HW[1] * 360.0 - 180.0)[None, :]
    height = np.clip(np.sin(elevation), 0.0, 1.0)[..., None]
    above = (1.0 - height) * [0.75, 0.82, 0.9] + height * [0.18, 0.38, 0.85]
    picture = np.where(elevation[..., None] > 0.0, above, [0.16, 0.13, 0.09]) * np.ones((*SKY_HW, 1))
    sun = np.radians(SUN_ELEVATION_DEG)
    towards_sun = np.sin(elevation) * np.sin(sun) + np.cos(elevation) * np.cos(sun) * np.cos(azimuth)
    picture[towards_sun > np.cos(np.radians(SUN_RADIUS_DEG))] = SUN_RADIANCE * np.array([1.0, 0.86, 0.66])
    return picture


def radiance_bytes(picture: NDArray[np.float64]) -> bytes:
    """Linear light (H, W, 3) as a Radiance .hdr file: three mantissas and one shared exponent a pixel."""
    mantissa, exponent = np.frexp(picture.max(axis=-1))
    scaled = picture * (mantissa * 256.0 / np.maximum(picture.max(axis=-1), 1e-32))[..., None]
    rgbe = np.concatenate([scaled, exponent[..., None] + 128.0], axis=-1).astype(np.uint8)
    head = f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {picture.shape[0]} +X {picture.shape[1]}\n"
    return head.encode() + bytes(rgbe.tobytes())


def _check(outcome: Outcome, name: str) -> None:
    if outcome is not Outcome.OK:
        raise Failure(f"{name}: expected views, got {outcome}")


def _read(path: Path) -> Pixels:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGBA"))


def _write(name: str, picture: Image.Image) -> None:
    data = encode_image(picture, "png")
    write_atomically(DOCS / "rendering" / name, data)
    told = f"docs/rendering/{name}: {picture.width} x {picture.height}, {len(data) / 1000:.0f} kB"
    print(told)  # noqa: T201 - what the command is for


if __name__ == "__main__":
    raise SystemExit(main())
