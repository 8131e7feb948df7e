"""What the preparation of a photo is worth: outlines against the truth, and what a new view loses by it.

python -m bench.cutout --objects DIR [--views N] [--checkpoint MODEL --data DIR] [--network FILE.onnx] [--json FILE]

Photos are composites (see bench/composites.py): renders of the objects, which no model was trained on, before a wall, a
gradient, wood, a noise texture, and with a cast shadow; with sensor noise, through a JPEG. "Bad" outlines have an IoU
below .9; "unsure" ones the command would refuse. Renders are kept in --renders.

With --checkpoint, new views of held-out cameras: the PSNR of the model's answer to the photo, cut out and framed, less
that of its answer to the clean render. "The original's way" is the original's preparation of the same cut-out; "as
large as it is" is framed by the object's true size, which no photo tells.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.settings import load_settings
from base.progress import Progress, standard_progress
from base.seeds import stable_rng
from base.versions import machine, versions
from bench.composites import KINDS, SMOOTH, composite
from bench.cutout_renders import render_views
from evaluation.metrics import silhouette_iou
from evaluation.table import markdown_table
from photo.border import cut_by_border
from photo.checks import doubt
from photo.cutout import CutOut, levels
from photo.settings import PhotoSettings

BAD, SEED, MIDDLE = 0.9, 0, 127


@dataclass(frozen=True)
class Outline:
    """A photo's outline: IoU with the truth, the method's confidence, why it is unsure (None: it is not)."""

    uid: str
    view: int
    kind: str
    iou: float
    confidence: float
    unsure: str | None
    network_iou: float | None = None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=Path, metavar="DIR", help="models (.glb), for the outlines")
    parser.add_argument("--renders", type=Path, default=Path("runs/cutout/renders"), metavar="DIR")
    parser.add_argument("--first-view", type=int, default=0, metavar="N")
    parser.add_argument("--views", type=int, default=2, metavar="N", help="of each object (default: %(default)s)")
    parser.add_argument("--network", type=Path, metavar="FILE.onnx", help="a segmentation network to compare with")
    parser.add_argument(
        "--network-every", type=int, default=4, metavar="N", help="on each Nth object (default: %(default)s)"
    )
    parser.add_argument("--checkpoint", metavar="MODEL", help="a folder or a name such as mini, for the new views")
    parser.add_argument("--data", default="runs/demo/dataset", metavar="DIR", help="its dataset's root")
    parser.add_argument("--pairs", type=int, default=32, metavar="N", help="default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    settings, progress = load_settings(None, ["tiny"]), standard_progress()
    result: dict[str, Any] = {
        "machine": machine(),
        "versions": versions(),
        "photo": settings.photo.model_dump(mode="json"),
    }
    if options.objects:
        outlines = measure_outlines(options, settings.photo, progress)
        print(outline_table(outlines))
        result["outlines"] = [asdict(outline) for outline in outlines]
    if options.checkpoint:
        from bench.cutout_views import measure_views, view_table

        rows = measure_views(options.checkpoint, options.data, options.pairs, settings, progress)
        print(view_table(rows))
        result["views"] = rows
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


def measure_outlines(options: argparse.Namespace, settings: PhotoSettings, progress: Progress) -> list[Outline]:
    """Every object, view and kind of background."""
    last = options.first_view + options.views
    renders = render_views(options.objects, options.renders, last, progress)
    rows = []
    with progress.task("outlines", total=len(renders) * options.views * len(KINDS), unit="photos") as task:
        for number, (uid, views) in enumerate(renders.items()):
            for view in range(options.first_view, last):
                for kind in KINDS:
                    photo = composite(views[view], kind, stable_rng(SEED, "photo", uid, view, kind))
                    truth = views[view][..., 3] > MIDDLE
                    network = (
                        # A network takes seconds a photo, so it sees only some.
                        options.network if number % options.network_every == 0 and view == options.first_view else None
                    )
                    rows.append(outline_of((uid, view, kind), photo, truth, settings, network))
                    task.advance(1, note=uid)
    return rows


def outline_of(
    which: tuple[str, int, str],
    photo: NDArray[np.uint8],
    truth: NDArray[np.bool_],
    settings: PhotoSettings,
    network: Path | None,
) -> Outline:
    """The weightless cut-out of a photo, and a network's where one is given."""
    cut = cut_by_border(photo, settings.border)
    rgba = np.dstack([cut.rgb, levels(cut.mask)])
    unsure = doubt(CutOut(rgba, "border", cut.confidence, checked=True), settings.checks)
    network_iou = None
    if network is not None:
        from photo.segment import cut_by_network

        found, _ = cut_by_network(photo, settings.model_copy(update={"cut_out": str(network)}))
        network_iou = silhouette_iou(found > 0.5, truth)
    return Outline(*which, silhouette_iou(cut.mask > 0.5, truth), cut.confidence, unsure, network_iou)


def outline_table(outlines: list[Outline]) -> str:
    """A row for each kind of background."""
    rows = []
    for kind in KINDS:
        some = [outline for outline in outlines if outline.kind == kind]
        iou = np.array([outline.iou for outline in some])
        unsure = np.array([outline.unsure is not None for outline in some])
        bad = iou < BAD
        network = [outline.network_iou for outline in some if outline.network_iou is not None]
        rows.append(
            [
                kind,
                f"{np.median(iou):.3f}",
                f"{(~bad).mean():.0%}",
                f"{int(unsure[bad].sum())} of {int(bad.sum())}",
                f"{int(unsure[~bad].sum())} of {int((~bad).sum())}",
                f"{np.median(iou[~unsure]):.3f}" if (~unsure).any() else "–",
                f"{np.median(network):.3f} ({len(network)})" if network else "–",
            ]
        )
    smooth = [outline.iou for outline in outlines if outline.kind in SMOOTH]
    heads = ["background", "median IoU", "IoU ≥ .9", "bad: unsure", "good: unsure", "median IoU where sure", "network"]
    return f"{markdown_table(heads, rows)}\n\nplain and gradient together: median IoU {np.median(smooth):.3f}\n"


if __name__ == "__main__":
    raise SystemExit(main())
