"""The pictures of the demo's report, made from its facts."""

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from report.camera_sphere import camera_sphere
from report.contact_sheet import contact_sheet
from report.escape import fill
from report.images import Pixels, composite, data_uri, image_uri, shrink
from report.numbers import Figures
from report.page import Picture, gallery, picture, render_template
from report.pages.demo_facts import DemoFacts, MeshFacts, ObjectFacts, PairFacts
from report.pages.demo_words import move_text
from report.turntable import turntable_webp

SHEET_CELL_PX = 176
MISSED = (36, 86, 230)
BEYOND = (217, 98, 43)
TURN_S = 6.0
STRIP_FRAMES = 8
PHOTO_QUALITY = 92


def chain(facts: DemoFacts) -> Markup:
    """Show photo, camera move, new view and mesh in a row."""
    pair = hero_pair(facts)
    shown = facts.object_of(pair.uid)
    move = move_text(facts.camera_move(pair))
    sphere = camera_sphere(
        shown.extrinsics[[pair.source, pair.target]], label=f"Two cameras around the object: {move}",
        names=["A", "B"], highlighted={1}, move=(0, 1),
    )  # fmt: skip
    same = (pair.uid, pair.source) == (facts.mesh.uid, facts.mesh.view)
    made_from = "from the same photo" if same else f"from another photo: {facts.object_of(facts.mesh.uid).title}"
    title = shown.title
    tiles = [
        (picture(Picture(_white(pair.input), f"{title} from camera A")), "One photo", f"{title}, from A", True),
        (sphere, "A camera move", f"to B: {move}", False),
        (picture(Picture(_white(pair.novel), f"The model’s picture of {title} from camera B")), "Seen from there",
         "what the model says B sees", True),
        (turntable(facts.mesh, facts), "Its mesh", made_from, False),
    ]  # fmt: skip
    return render_template("chain.html.j2", tiles=tiles)


def hero_pair(facts: DemoFacts) -> PairFacts:
    """Choose a pair of the mesh's own photo, else a pair of the same object, else the first."""
    mesh = facts.mesh
    ranked = [
        *(pair for pair in facts.pairs if (pair.uid, pair.source) == (mesh.uid, mesh.view)),
        *(pair for pair in facts.pairs if pair.uid == mesh.uid),
        *facts.pairs,
    ]
    return ranked[0]


def turntable(mesh: MeshFacts, facts: DemoFacts) -> Markup:
    """Show the mesh turning once; readers with reduced motion see a still frame."""
    frames = [shrink(frame, 320) for frame in mesh.turntable]
    uri = data_uri(turntable_webp(frames, seconds=TURN_S), "image/webp")
    alt = f"The mesh of {facts.object_of(mesh.uid).title}, turning once around"
    return picture(Picture(uri, alt, still_uri=image_uri(frames[0], quality=85)))


def object_sheet(shown: ObjectFacts) -> Markup:
    """Show all views of an object on a sheet, with their cameras on a sphere."""
    held = [index for index in shown.held_out if index < len(shown.views)]
    labels = [str(index) for index in range(len(shown.views))]
    sheet = contact_sheet(shown.views, labels=labels, columns=4, cell_px=SHEET_CELL_PX, marked=held)
    sphere = camera_sphere(
        shown.extrinsics,
        highlighted=held,
        label=f"The {len(shown.extrinsics)} cameras around {shown.title}, on a sphere",
    )
    alt = f"{shown.title} from {len(shown.views)} sides, numbered as on the sphere beside"
    note = f"{len(shown.views)} views, {len(held)} held out" if held else f"{len(shown.views)} views"
    uri = image_uri(sheet, quality=86)
    return render_template("sheet.html.j2", title=shown.title, note=note, sphere=sphere, uri=uri, alt=alt)


def triptych(index: int, pair: PairFacts, facts: DemoFacts, figures: Figures) -> Markup:
    """Show photo, model's answer and truth, and whether the answer is closer than the photo."""
    title = facts.object_of(pair.uid).title
    key = f"novel_views.shown.{index}"
    psnr = [figures.show(f"{key}.psnr_{name}_db", "db") for name in ("input", "model")]
    three = gallery(
        [
            Picture(_white(pair.input), f"Photo of {title}, view {pair.source}", fill("Photo<br>{}", psnr[0])),
            Picture(
                _white(pair.novel),
                f"{title} as the model sees view {pair.target}",
                fill("Model<br>{}", psnr[1]),
            ),
            Picture(_white(pair.true), f"{title}, true view {pair.target}", "Truth"),
        ],
        css_class="triptych",
    )
    gain = fill(
        '<b class="{}">{}</b>', "better" if pair.better else "worse", figures.show(f"{key}.gain_db", "signed_db")
    )
    return render_template("pair.html.j2", three=three, title=title, move=move_text(facts.camera_move(pair)), gain=gain)


def overlay(mesh: MeshFacts) -> Pixels:
    """Draw the mesh's silhouette over the photo: blue where the mesh misses the object, orange where it goes beyond.

    Three times the photo's size, so that single pixels show. Raises ValueError when the two differ in size.
    """
    if mesh.silhouette.shape != mesh.input.shape[:2]:
        raise ValueError(f"expected a silhouette of {mesh.input.shape[:2]}, got {mesh.silhouette.shape}")
    photo = mesh.input[..., 3] >= 128
    picture_ = composite(mesh.input).astype(np.float64)
    for area, colour in ((photo & ~mesh.silhouette, MISSED), (mesh.silhouette & ~photo, BEYOND)):
        picture_[area] = picture_[area] * 0.25 + np.array(colour) * 0.75
    # Repeated, not resampled: single pixels must stay visible.
    enlarged = np.repeat(np.repeat(np.rint(picture_).astype(np.uint8), 3, axis=0), 3, axis=1)
    enlarged[_outline(np.repeat(np.repeat(mesh.silhouette, 3, axis=0), 3, axis=1))] = BEYOND
    return enlarged


def turn_strip(mesh: MeshFacts) -> Image.Image:
    """Show the turntable as a row of stills."""
    count = min(STRIP_FRAMES, len(mesh.turntable))
    chosen = [mesh.turntable[index * len(mesh.turntable) // count] for index in range(count)]
    return contact_sheet([shrink(frame, 200) for frame in chosen], columns=count)


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Find the pixels of `mask` (H, W) with a neighbour outside it."""
    padded = np.pad(mask, 1)
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.asarray(mask & ~inside)


def _white(pixels: Pixels) -> str:
    return image_uri(composite(pixels), quality=PHOTO_QUALITY)
